#!lua flags=allow-oom
-- renew: starts the leases of what a consumer holds anew.
-- request: stream, group, consumer, entries (what it believes to hold)
-- answer:  the entries among them that it holds no longer
-- holds:   nothing is taken from another consumer.
local stream = K.prefix .. request.stream
local lost = {}
for _, id in ipairs(request.entries) do
  if owner(stream, request.group, id) == request.consumer then
    call('XCLAIM', stream, request.group, request.consumer, 0, id, 'JUSTID')
  else
    lost[#lost + 1] = id
  end
end
return lost
