#!lua flags=no-writes
-- headers: the first bytes of pictures, which tell their type and size.
-- request: jobs, size_bytes
-- answer:  the bytes of each; '' where the picture is gone
local answer = {}
for i, id in ipairs(request.jobs) do answer[i] = call('GETRANGE', K.blob .. id, 0, request.size_bytes - 1) end
return answer
