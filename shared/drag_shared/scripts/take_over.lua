#!lua flags=allow-oom
-- take_over: claims at most one entry that a dead consumer held, and counts an attempt against it.
-- request: stream, group, consumer, min_idle_ms, cursor, max_attempts, cause
-- answer:  {next cursor, entry id, job, part, attempts, message} | {next cursor}
-- holds:   what reached max_attempts goes to the dead letters and is not answered.
local stream = K.prefix .. request.stream
local cursor = request.cursor
for _ = 1, 10 do
  local claimed = call('XAUTOCLAIM', stream, request.group, request.consumer, request.min_idle_ms, cursor, 'COUNT', 1)
  cursor = claimed[1]
  local found = claimed[2][1]
  if found then
    local fields = {}
    for i = 1, #found[2], 2 do fields[found[2][i]] = found[2][i + 1] end
    local job, part, message = fields.job or '', fields.part or '', fields.m or ''
    if call('EXISTS', K.job .. job) == 1 and not wanted(job, part) then
      acknowledge(stream, request.group, {found[1]})
    elseif call('EXISTS', K.job .. job) == 0 then
      return {cursor, found[1], job, part, 0, message}  -- no job of ours: the consumer buries it
    else
      local attempts, history = count_attempt(job, part, request.consumer, request.cause)
      if attempts < request.max_attempts then return {cursor, found[1], job, part, attempts, message} end
      bury(job, part, attempts, request.stream, message, request.cause, history)
      acknowledge(stream, request.group, {found[1]})
      write_changes()
    end
  end
  if cursor == '0-0' then break end
end
return {cursor}
