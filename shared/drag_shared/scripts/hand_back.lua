#!lua flags=allow-oom
-- hand_back: gives work back that was not tried; costs no attempt, up to a number of times.
-- request: stream, group, consumer, delay_ms, items (each: entry, job, part), max_hand_backs (optional: without it
--          this hand-back is not counted), max_attempts
-- answer:  number of entries handed back
-- holds:   the work stands in the stream or in the delayed set again before its old entry goes; past the cap a
--          hand-back counts as an attempt, and the last attempt buries, so that nothing circulates for ever.
local stream = K.prefix .. request.stream
local acknowledged, returned = {}, 0
for _, item in ipairs(request.items) do
  if owner(stream, request.group, item.entry) == request.consumer then
    local fields = entry_fields(stream, item.entry)
    local key = K.job .. item.job
    if fields and wanted(item.job, item.part) then
      local cause, attempt, history = 'handed back too often', tonumber(call('HGET', key, 'a:' .. item.part) or 0), nil
      if request.max_hand_backs and call('HINCRBY', key, 'h:' .. item.part, 1) > request.max_hand_backs then
        attempt, history = count_attempt(item.job, item.part, request.consumer, cause)
        call('HSET', key, 'h:' .. item.part, 0)
      end
      if history and attempt >= request.max_attempts then
        bury(item.job, item.part, attempt, request.stream, fields.m or '', cause, history)
      elseif request.delay_ms > 0 then
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
write_changes()
return returned
