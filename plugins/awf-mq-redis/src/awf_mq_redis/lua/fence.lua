-- Fencing: whether a delivery is still the caller's. Stands between queue.lua and a script that settles.
-- Answers for items: ok | gone (no such message) | free (no worker has a lease) | lost (another worker's delivery) |
-- type <found> <key> | err <text>.
local function all_metas(ids)
  if #ids == 0 then return {} end
  return redis.call('HMGET', META, unpack(ids))
end

-- The meta of a delivery that is the caller's, else nil and the answer. Ends its lease: a first write that is allowed
-- at maxmemory.
local function release(id, deliveries, text)
  if not text then return nil, 'gone' end
  local meta = read_meta(text)
  if meta.deliveries ~= deliveries then return nil, 'lost' end
  if redis.call('ZREM', LEASE, id) == 0 then return nil, 'free' end
  return meta
end

local function forget(ids)
  if #ids == 0 then return end
  redis.call('HDEL', BODY, unpack(ids))
  redis.call('HDEL', META, unpack(ids))
  redis.call('HDEL', PAST, unpack(ids))
end
