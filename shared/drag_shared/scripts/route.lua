#!lua flags=allow-oom
-- route: what ingest found out about uploads goes on to the models' streams.
-- request: stream, group, items (each: entry, job, from = the upload's part, stream = where to, part, message,
--          fields = flat list of the record)
-- answer:  number of jobs that went on now
-- holds:   a job has one root part, whatever is delivered twice; a late failure of the routed upload changes nothing;
--          a job that ended meanwhile goes nowhere.
local acknowledged, known, routed = {}, {}, 0
for _, item in ipairs(request.items) do
  local key = K.job .. item.job
  local job = call('HMGET', key, 'status', 'p:' .. item.part)
  if is_open(job[1]) and not job[2] then
    call('HSET', key, 'status', 'running', 'p:' .. item.from, 'done', 'p:' .. item.part, 'open', 'outstanding', 1, unpack(item.fields))
    if not known[item.stream] then call('SADD', K.streams, item.stream); known[item.stream] = true end
    append(K.prefix .. item.stream, item.job, item.part, 0, item.message)
    routed = routed + 1
  end
  acknowledged[#acknowledged + 1] = item.entry
end
acknowledge(K.prefix .. request.stream, request.group, acknowledged)
return routed
