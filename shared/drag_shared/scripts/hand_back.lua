#!lua flags=allow-oom
-- hand_back: gives work back that was not tried; costs no attempt, up to a number of times.
-- request: stream, group, consumer, delay_ms, max_hand_backs, items (each: entry, job, part)
-- answer:  number of entries handed back
-- holds:   the work stands in the stream or in the delayed set again before its old entry goes; past the cap a
--          hand-back counts as an attempt, so that nothing circulates for ever.
local stream = K.prefix .. request.stream
local acknowledged, returned = {}, 0
for _, item in ipairs(request.items) do
  if owner(stream, request.group, item.entry) == request.consumer then
    local fields = entry_fields(stream, item.entry)
    local key = K.job .. item.job
    if fields and is_open(call('HGET', key, 'status')) then
      local attempt = tonumber(call('HGET', key, 'a:' .. item.part) or 0)
      if call('HINCRBY', key, 'h:' .. item.part, 1) > request.max_hand_backs then
        attempt = count_attempt(item.job, item.part, request.consumer, 'handed back too often')
        call('HSET', key, 'h:' .. item.part, 0)
      end
      if request.delay_ms > 0 then
        call('ZADD', K.delayed, now + request.delay_ms,
          cmsgpack.pack({request.stream, item.job, item.part, attempt, fields.m or ''}))
      else
        append(stream, item.job, item.part, attempt, fields.m or '')
      end
      returned = returned + 1
    end
    acknowledged[#acknowledged + 1] = item.entry
  end
end
acknowledge(stream, request.group, acknowledged)
return returned
