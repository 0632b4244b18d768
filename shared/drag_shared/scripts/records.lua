#!lua flags=no-writes
-- records: several jobs' records.
-- request: jobs
-- answer:  a flat list of fields and values for each; empty where the record is gone
local answer = {}
for i, id in ipairs(request.jobs) do answer[i] = call('HGETALL', K.job .. id) end
return answer
