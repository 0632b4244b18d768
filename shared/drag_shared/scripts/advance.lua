#!lua flags=allow-oom
-- advance: writes the outcome of parts, appends the parts that follow, ends the jobs whose last part this was.
-- request: stream, group, limits, items (each: entry, job, part, and either result (bytes), timings (bytes) and
--          follow = list of {part, stream, message}, or error (bytes) and fatal)
-- answer:  number of outcomes that were written now
-- holds:   the first outcome of a part stands, later ones change nothing; `fatal` fails the whole job.
local acknowledged, written = {}, 0
for _, item in ipairs(request.items) do
  local key = K.job .. item.job
  local job = call('HMGET', key, 'status', 'p:' .. item.part, 'size', 'outstanding', 'image', 'idempotency')
  if is_open(job[1]) and (job[2] == 'open' or (item.fatal and not job[2])) then
    written = written + 1
    local size = tonumber(job[3])
    if item.fatal then
      finish(item.job, 'failed', size, {'error', item.error})
      retain(item.job, size, RECORD_BYTES + #item.error, job[5], request.limits, job[6])
    else
      local outstanding = tonumber(job[4]) - 1
      for _, part in ipairs(item.follow or {}) do
        if call('HSETNX', key, 'p:' .. part.part, 'open') == 1 then
          call('SADD', K.streams, part.stream)
          append(K.prefix .. part.stream, item.job, part.part, 0, part.message)
          outstanding = outstanding + 1
        end
      end
      local outcome = item.result or item.error
      local fields = {'p:' .. item.part, 'done', (item.result and 'r:' or 'e:') .. item.part, outcome,
        't:' .. item.part, item.timings or '', 'outstanding', outstanding}
      if outstanding == 0 then
        finish(item.job, 'done', size, fields)
        retain(item.job, size, RECORD_BYTES + #outcome, job[5], request.limits, job[6])
      else
        call('HSET', key, unpack(fields))
      end
    end
  end
  acknowledged[#acknowledged + 1] = item.entry
end
acknowledge(K.prefix .. request.stream, request.group, acknowledged)
sweep(request.limits, 2 * #acknowledged + 8)
return written
