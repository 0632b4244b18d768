#!lua flags=allow-oom
-- leave: deletes consumers that hold nothing: the named one, or all that were idle for idle_ms.
-- request: stream, group, consumer (optional), idle_ms
-- answer:  number of consumers deleted
-- holds:   a consumer with pending entries stays: deleting it would strand them.
local stream = K.prefix .. request.stream
local deleted = 0
for _, row in ipairs(redis.pcall('XINFO', 'CONSUMERS', stream, request.group)) do
  local consumer = {}
  for i = 1, #row, 2 do consumer[row[i]] = row[i + 1] end
  local wanted = consumer.name == request.consumer or (not request.consumer and consumer.idle > request.idle_ms)
  if wanted and consumer.pending == 0 then
    call('XGROUP', 'DELCONSUMER', stream, request.group, consumer.name)
    deleted = deleted + 1
  end
end
return deleted
