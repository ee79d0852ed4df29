-- A queue's keys, always the first ten KEYS. Stands after the prelude in every script that works on a queue.
local READY, CLAIMING, DUE, LEASE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local BODY, META, PAST, DLQS, SOURCES, CLOCK = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local QUEUE = {'list', 'list', 'zset', 'zset', 'hash', 'hash', 'hash', 'hash', 'hash', 'string'}

-- As wrong_type for a queue that is consumed from: that may be a dead-letter stream. One that is published to may not.
local function wrong_queue()
  local kinds = {unpack(QUEUE)}
  if redis.call('TYPE', READY)['ok'] == 'stream' then kinds[1] = 'stream' end
  return wrong_type(kinds)
end

-- A server at maxmemory refuses a script whose first write may use memory. ZREM uses none; later writes are allowed.
local function allow_at_maxmemory() redis.call('ZREM', LEASE, '') end

-- META holds deliveries:attempt:first_seen_ms:token:crashed:owner. `token` names the last claim, `owner` the process
-- that made it, `crashed` the claims whose runs never ended. What has another form counts as a new message.
local function read_meta(text)
  local deliveries, attempt, first_seen, token, crashed, owner =
    string.match(text, '^(%d+):(%d+):(%d+):(%x*):([%x,]*):(.*)$')
  if not deliveries then return {deliveries = 0, attempt = 1, first_seen = 0, token = '', crashed = '', owner = ''} end
  return {deliveries = tonumber(deliveries), attempt = tonumber(attempt), first_seen = tonumber(first_seen),
          token = token, crashed = crashed, owner = owner}
end

local function meta_text(meta)
  return table.concat({whole(meta.deliveries), whole(meta.attempt), whole(meta.first_seen), meta.token, meta.crashed,
                       meta.owner}, ':')
end

local function new_meta() return read_meta('') end

local function crash_count(meta)
  if meta.crashed == '' then return 0 end
  return select(2, string.gsub(meta.crashed, ',', '')) + 1
end

-- The id that a message brings from another queue, where no message of this one has it; else the new one.
local function free_id(brought, new, meta_key)
  if string.match(brought, '^%d+%-%x+%-%d+$') and not redis.call('HGET', meta_key, brought) then return brought end
  return new
end
