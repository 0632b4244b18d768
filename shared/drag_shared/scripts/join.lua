#!lua flags=allow-oom
-- join: makes a stream's consumer group, from the stream's first entry on, unless it is there.
-- request: stream, group
-- answer:  1 when it was made now, else 0
-- holds:   what was appended before the group existed is delivered. allow-oom: who finishes work must be able to join.
local made = redis.pcall('XGROUP', 'CREATE', K.prefix .. request.stream, request.group, '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
call('SADD', K.streams, request.stream)
return made.err and 0 or 1
