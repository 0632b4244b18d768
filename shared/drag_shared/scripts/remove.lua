#!lua flags=allow-oom
-- remove: the owner's DELETE. An open job ends as cancelled; an ended one keeps its status; both lose picture and result.
-- request: job, limits
-- answer:  1, or 0 when the job is not known
-- holds:   what is still delivered of a cancelled job finds it ended and is dropped.
local key = K.job .. request.job
local job = call('HMGET', key, 'status', 'size', 'image', 'dead', 'idempotency')
if not job[1] then return 0 end
local size = tonumber(job[2])
if job[4] then
  local fields = entry_fields(K.dead, job[4])
  if fields then drop_letter(job[4], fields, request.limits) end
elseif is_open(job[1]) then
  finish(request.job, 'cancelled', size, {})
  retain(request.job, size, RECORD_BYTES, false, request.limits, job[5])
elseif job[3] then
  call('ZREM', K.pictures, request.job .. ':' .. size)
  count('picture_bytes', -size)
end
remove_picture(request.job)
for _, field in ipairs(call('HKEYS', key)) do
  local kind = string.sub(field, 1, 2)
  if kind == 'r:' or kind == 'e:' or kind == 't:' then call('HDEL', key, field) end
end
call('HSET', key, 'removed', 1)
write_changes()
return 1
