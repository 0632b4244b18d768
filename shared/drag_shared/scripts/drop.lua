#!lua flags=allow-oom
-- drop: takes a dead letter away for good. Its job stays `dead`, without its picture, until its time to live ends.
-- request: letter, limits
-- answer:  1, or 0 when there is no such letter
local fields = entry_fields(K.dead, request.letter)
if not fields then return 0 end
drop_letter(request.letter, fields, request.limits)
write_changes()
return 1
