#!lua flags=allow-oom
-- acknowledge: drops entries whose jobs were cancelled.
-- request: stream, group, entries
-- answer:  number of entries
acknowledge(K.prefix .. request.stream, request.group, request.entries)
return #request.entries
