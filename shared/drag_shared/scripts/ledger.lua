#!lua flags=no-writes
-- ledger: the counters and the sizes of the sets they must agree with, in one instant.
-- answer:  {flat list of the ledger, open, delayed, jobs, ended, pictures, dead, now}
return {call('HGETALL', K.ledger), call('ZCARD', K.open), call('ZCARD', K.delayed), call('ZCARD', K.jobs),
  call('ZCARD', K.ended), call('ZCARD', K.pictures), call('XLEN', K.dead), now}
