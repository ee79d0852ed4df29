-- A queue's keys, always the first nine KEYS. Stands after the prelude in every script that works on a queue.
local READY, CLAIMING, DUE, LEASE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local BODY, META, PAST, DLQS, SOURCES = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local QUEUE = {'list', 'list', 'zset', 'zset', 'hash', 'hash', 'hash', 'hash', 'hash'}

-- As wrong_type for a queue that is consumed from: that may be a dead-letter stream. One that is published to may not.
local function wrong_queue()
  local kinds = {unpack(QUEUE)}
  if redis.call('TYPE', READY)['ok'] == 'stream' then kinds[1] = 'stream' end
  return wrong_type(kinds)
end

-- A server at maxmemory refuses a script whose first write may use memory. ZREM uses none; later writes are allowed.
local function allow_at_maxmemory() redis.call('ZREM', LEASE, '') end

-- META holds deliveries:attempt:released:first_seen_ms:message_id
local function read_meta(meta)
  local deliveries, attempt, released, first_seen, message_id = string.match(meta, '^(%d+):(%d+):(%d+):(%d+):(.*)$')
  return {deliveries = deliveries, attempt = attempt, released = released, first_seen = first_seen,
          message_id = message_id}
end

local function meta_text(deliveries, attempt, released, first_seen, message_id)
  return table.concat({whole(deliveries), whole(attempt), whole(released), whole(first_seen), message_id}, ':')
end
