-- What every script of a partition shares; put in front of each by scripts.py. Lua errors undo nothing, so a script
-- checks first and writes afterwards.
-- KEYS: the partition's keys, in the order of keys.SCRIPT_KEYS; those that end in ':' are prefixes in the same slot.
-- ARGV[1]: a msgpack map, the request. Times are milliseconds of the server's clock.

local K = {
  ledger = KEYS[1], open = KEYS[2], jobs = KEYS[3], ended = KEYS[4], pictures = KEYS[5], delayed = KEYS[6],
  dead = KEYS[7], streams = KEYS[8], announce = KEYS[9], job = KEYS[10], blob = KEYS[11], idempotency = KEYS[12],
  prefix = KEYS[13],
}
local request = cmsgpack.unpack(ARGV[1])
local call = redis.call

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- What a batch changes in the ledger and the indexes adds up here; write_changes writes it, with one call for each.
local counts, closed, ended, pictures = {}, {}, {}, {}
local function count(field, n) counts[field] = (counts[field] or 0) + n end
local function write_changes()
  for field, n in pairs(counts) do if n ~= 0 then call('HINCRBY', K.ledger, field, n) end end
  if #closed > 0 then
    call('ZREM', K.open, unpack(closed))
    call('PUBLISH', K.announce, table.concat(closed, ' '))
  end
  if #ended > 0 then call('ZADD', K.ended, unpack(ended)) end
  if #pictures > 0 then call('ZADD', K.pictures, unpack(pictures)) end
  counts, closed, ended, pictures = {}, {}, {}, {}
end
local function counted(field) return tonumber(call('HGET', K.ledger, field) or 0) end

local function is_open(status) return status == 'queued' or status == 'running' end

-- Whether work on a part would still count: its job is open and it has no outcome.
local function wanted(id, part)
  local job = call('HMGET', K.job .. id, 'status', 'p:' .. part)
  return is_open(job[1]) and job[2] ~= 'done'
end

local function acknowledge(stream, group, ids)
  if #ids == 0 then return end
  call('XACK', stream, group, unpack(ids))  -- callers send at most some hundred ids
  call('XDEL', stream, unpack(ids))
end

local function append(stream, job, part, attempt, message)
  call('XADD', stream, '*', 'job', job, 'part', part, 'attempt', attempt, 'm', message)
end

-- The consumer that holds an entry, or nil; nil too where Redis lost the group with its data.
local function owner(stream, group, id)
  local pending = redis.pcall('XPENDING', stream, group, id, id, 1)
  return pending[1] and pending[1][2]
end

-- The fields of a stream entry as a table, or nil when it is gone.
local function entry_fields(stream, id)
  local found = call('XRANGE', stream, id, id)[1]
  if not found then return nil end
  local fields = {}
  for i = 1, #found[2], 2 do fields[found[2][i]] = found[2][i + 1] end
  return fields
end

local function remove_picture(id)
  call('DEL', K.blob .. id)
  call('HDEL', K.job .. id, 'image')
end

-- Full name of a job's idempotency key; nil when that was forgotten and has been used anew for other jobs.
local function idempotency_key(id, short)
  local known = short and call('GET', K.idempotency .. short)
  for _, member in ipairs(known and cmsgpack.unpack(known).ids or {}) do
    if member == id then return K.idempotency .. short end
  end
end

-- The time to live of an ended job begins: its record and picture count against the budgets from here on, and sweep
-- takes them away.
local function retain(id, size, record_bytes, has_image, limits, idempotency)
  ended[#ended + 1] = now
  ended[#ended + 1] = id .. ':' .. record_bytes
  count('record_bytes', record_bytes)
  if has_image then
    pictures[#pictures + 1] = now
    pictures[#pictures + 1] = id .. ':' .. size
    count('picture_bytes', size)
  end
  local remembered = idempotency_key(id, idempotency)
  if remembered then call('PEXPIRE', remembered, limits.idempotency_ms) end
end

-- An open job ends: one transition in the ledger, announced. `fields` is a flat list to write with it.
local function finish(id, status, size, fields)
  fields[#fields + 1] = 'status'; fields[#fields + 1] = status
  fields[#fields + 1] = 'ended'; fields[#fields + 1] = now
  call('HSET', K.job .. id, unpack(fields))
  closed[#closed + 1] = id
  count(status, 1)
  count('open_bytes', -size)
end

local RECORD_BYTES = 900  -- what a record without its result takes, with its places in the indexes (measured)

-- Moves an open job to the dead letters, with its picture, cause and history.
local function bury(id, part, attempts, stream, message, cause, history)
  local key = K.job .. id
  local job = call('HMGET', key, 'size', 'image')
  local size = tonumber(job[1] or 0)
  local letter_bytes = #message + #cause + #history + (job[2] and size or 0) + RECORD_BYTES
  local letter = call('XADD', K.dead, '*', 'job', id, 'part', part, 'stream', stream, 'cause', cause, 'history', history,
    'attempts', attempts, 'bytes', letter_bytes, 'm', message)
  count('dead_bytes', letter_bytes)
  finish(id, 'dead', size, {'dead', letter, 'cause', cause})
end

-- Counts one attempt of a part. Answers the number, and the history with this attempt in it.
local function count_attempt(id, part, consumer, cause)
  local key = K.job .. id
  local attempts = call('HINCRBY', key, 'a:' .. part, 1)
  local packed = call('HGET', key, 'history')
  local history = packed and cmsgpack.unpack(packed) or {}
  history[#history + 1] = {at_ms = now, part = part, consumer = consumer, cause = cause}
  while #history > 20 do table.remove(history, 1) end
  packed = cmsgpack.pack(history)
  call('HSET', key, 'history', packed)
  return attempts, packed
end

-- Takes a dead letter away. Its job, if it had one, becomes an ordinary ended job without a picture.
local function drop_letter(letter, fields, limits)
  call('XDEL', K.dead, letter)
  count('dead_bytes', -tonumber(fields.bytes or 0))
  local id = fields.job
  if id and call('HGET', K.job .. id, 'dead') == letter then
    call('HDEL', K.job .. id, 'dead')
    remove_picture(id)
    retain(id, 0, RECORD_BYTES, false, limits, call('HGET', K.job .. id, 'idempotency'))
  end
end

-- A record goes. The ledger keeps the newest ULID that went, so that 'past retention' is told from 'never known'.
local function forget(id)
  local picture = call('HMGET', K.job .. id, 'size', 'image')
  if picture[2] and call('ZREM', K.pictures, id .. ':' .. picture[1]) == 1 then count('picture_bytes', -picture[1]) end
  local ulid = string.match(id, '%-(.*)$')
  if ulid > (call('HGET', K.ledger, 'forgotten_until') or '') then
    call('HSET', K.ledger, 'forgotten_until', ulid)
  end
  local remembered = idempotency_key(id, call('HGET', K.job .. id, 'idempotency'))
  if remembered then call('DEL', remembered) end
  call('DEL', K.job .. id, K.blob .. id)
  call('ZREM', K.jobs, id)
end

-- Oldest first: while over the budget or older than the time to live, at most `limit` members. Nearly always nothing is
-- due, so the oldest is looked at alone, and only then more at a time.
local function evict(index, counter, budget, horizon, limit, remove)
  local held, released, removed, page = counted(counter), 0, 0, 1
  while removed < limit do
    local oldest = call('ZRANGE', index, 0, page - 1, 'WITHSCORES')
    for i = 1, #oldest, 2 do
      if tonumber(oldest[i + 1]) >= horizon and held - released <= budget then removed = limit break end
      local id, bytes = string.match(oldest[i], '^(.*):(%d+)$')
      remove(id)
      call('ZREM', index, oldest[i])
      released = released + tonumber(bytes)
      removed = removed + 1
    end
    if #oldest < 2 * page then break end
    page = math.min(16, limit - removed)
  end
  if released > 0 then call('HINCRBY', K.ledger, counter, -released) end
end

-- Keeps ended jobs and dead letters within their time to live and byte budgets. limits: ttl_ms, idempotency_ms,
-- picture_bytes, record_bytes, dead_bytes. At most `limit` of each, so that a script stays short.
local function sweep(limits, limit)
  write_changes()
  local horizon = now - limits.ttl_ms
  if counted('dead_bytes') > limits.dead_bytes then
    local excess = counted('dead_bytes') - limits.dead_bytes
    for _, found in ipairs(call('XRANGE', K.dead, '-', '+', 'COUNT', limit)) do
      if excess <= 0 then break end
      local fields = entry_fields(K.dead, found[1])
      excess = excess - tonumber(fields.bytes or 0)
      drop_letter(found[1], fields, limits)
    end
    write_changes()  -- their jobs are ordinary ended ones now
  end
  evict(K.pictures, 'picture_bytes', limits.picture_bytes, horizon, limit, remove_picture)
  evict(K.ended, 'record_bytes', limits.record_bytes, horizon, limit, forget)
  write_changes()
end
