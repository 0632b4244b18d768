#!lua
-- accept: takes jobs in, all of them or none.
-- request: jobs (each: id, size, fields = flat list of the record, message), key, digest (idempotency, optional),
--          max_jobs, max_bytes, stream, upload_part; ARGV[2..]: the pictures' bytes, in the jobs' order.
-- answer:  {'accepted'} | {'same', id...} | {'conflict'} | {'full', open jobs, open bytes}
-- holds:   a second call with the same ids changes nothing. No allow-oom: a full server takes nothing in.
local jobs = request.jobs
if request.key then
  local known = call('GET', K.idempotency .. request.key)
  if known then
    known = cmsgpack.unpack(known)
    if known.digest ~= request.digest then return {'conflict'} end
    local answer = {'same'}
    for _, id in ipairs(known.ids) do answer[#answer + 1] = id end
    return answer
  end
end
if call('EXISTS', K.job .. jobs[1].id) == 1 then return {'accepted'} end

local size, ids = 0, {}
for i, job in ipairs(jobs) do size = size + job.size; ids[i] = job.id end
local open, open_bytes = call('ZCARD', K.open), counted('open_bytes')
if open + #jobs > request.max_jobs or open_bytes + size > request.max_bytes then return {'full', open, open_bytes} end

local by_time, by_name = {}, {}
for i, job in ipairs(jobs) do
  call('SET', K.blob .. job.id, ARGV[i + 1])
  call('HSET', K.job .. job.id, 'status', 'queued', 'created', now, 'size', job.size, 'image', 1, unpack(job.fields))
  if request.key then call('HSET', K.job .. job.id, 'idempotency', request.key) end
  by_time[2 * i - 1], by_time[2 * i] = now, job.id
  by_name[2 * i - 1], by_name[2 * i] = 0, job.id
  append(K.prefix .. request.stream, job.id, request.upload_part, 0, job.message)
end
call('ZADD', K.open, unpack(by_time))
call('ZADD', K.jobs, unpack(by_name))
if request.key then
  call('SET', K.idempotency .. request.key, cmsgpack.pack({digest = request.digest, ids = ids}))
end
count('accepted', #jobs)
count('open_bytes', size)
write_changes()
return {'accepted'}
