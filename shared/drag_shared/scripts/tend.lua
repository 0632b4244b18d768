#!lua flags=allow-oom
-- tend: the regular upkeep of a partition, run by any reader about once a second.
-- request: limits, limit
-- answer:  number of delayed entries that became due
-- holds:   a delayed entry of a job that ended is dropped; everything is bounded by `limit`.
local due = call('ZRANGEBYSCORE', K.delayed, '-inf', now, 'LIMIT', 0, request.limit)
for _, packed in ipairs(due) do
  local stream, job, part, attempt, message = unpack(cmsgpack.unpack(packed))
  if wanted(job, part) then append(K.prefix .. stream, job, part, attempt, message) end
  call('ZREM', K.delayed, packed)
end
sweep(request.limits, request.limit)
return #due
