#!lua flags=allow-oom
-- retry: an attempt failed. Parks the work in the delayed set, or moves the job to the dead letters after the last one.
-- request: stream, group, consumer, entry, job, part, cause, delay_ms, max_attempts (0: bury at once, for a broken message)
-- answer:  'delayed' | 'buried' | 'lost' (another consumer holds it now; nothing changed)
-- holds:   an attempt is counted once, by the consumer that holds the entry.
local stream = K.prefix .. request.stream
if owner(stream, request.group, request.entry) ~= request.consumer then return 'lost' end
local fields = entry_fields(stream, request.entry)
local answer = 'lost'
if fields then
  local message = fields.m or ''
  if not wanted(request.job, request.part) then
    if call('EXISTS', K.job .. request.job) == 0 then  -- a message of no job of ours: kept as evidence
      local bytes = #message + #request.cause + 200
      call('XADD', K.dead, '*', 'job', '', 'part', request.part, 'stream', request.stream, 'cause', request.cause,
        'history', cmsgpack.pack({}), 'attempts', 0, 'bytes', bytes, 'm', message)
      count('dead_bytes', bytes)
      answer = 'buried'
    end
  else
    local attempts, history = count_attempt(request.job, request.part, request.consumer, request.cause)
    if attempts >= request.max_attempts then
      bury(request.job, request.part, attempts, request.stream, message, request.cause, history)
      answer = 'buried'
    else
      call('ZADD', K.delayed, now + request.delay_ms,
        cmsgpack.pack({request.stream, request.job, request.part, attempts, message}))
      answer = 'delayed'
    end
  end
end
acknowledge(stream, request.group, {request.entry})
write_changes()
return answer
