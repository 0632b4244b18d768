#!lua
-- requeue: a dead letter's job is tried anew, from the part that died, with its attempts counted from zero.
-- request: letter
-- answer:  {'requeued', job} | {'unknown'} | {'no job'}
-- holds:   the letter goes and the work stands in its stream in one step. No allow-oom: it takes work in.
local fields = entry_fields(K.dead, request.letter)
if not fields then return {'unknown'} end
local id, part = fields.job, fields.part
local key = K.job .. id
local job = call('HMGET', key, 'dead', 'size', 'p:' .. part)
if job[1] ~= request.letter or call('EXISTS', K.blob .. id) == 0 then return {'no job'} end
call('HDEL', key, 'dead', 'cause', 'ended', 'a:' .. part, 'h:' .. part)
call('HSET', key, 'status', job[3] and 'running' or 'queued')
call('ZADD', K.open, now, id)
append(K.prefix .. fields.stream, id, part, 0, fields.m)
call('XDEL', K.dead, request.letter)
count('requeued', 1)
count('open_bytes', tonumber(job[2]))
count('dead_bytes', -tonumber(fields.bytes))
write_changes()
return {'requeued', id}
