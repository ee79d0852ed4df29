-- Fencing: whether a delivery is still the caller's. Stands between clock.lua and a script that settles.
-- Answers for items: ok | gone (no such message) | free (no worker has a lease) | lost (another worker's delivery) |
-- type <found> <key> | expired <key> | err <text>.
local function all_metas(ids)
  if #ids == 0 then return {} end
  local metas, by_id = redis.call('HMGET', META, unpack(ids)), {}
  for index, id in ipairs(ids) do
    if metas[index] then
      by_id[id] = by_id[id] or read_meta(metas[index])
      metas[index] = by_id[id]
    end
  end
  return metas
end

-- An owner that asks for a delivery that it has lost is alive, so the crash that was counted for it is none.
local function take_crash_back(id, meta, token)
  local left, found = {}, false
  for each in string.gmatch(meta.crashed, '%x+') do
    if each == token then found = true else left[#left + 1] = each end
  end
  if not found then return end
  meta.crashed = table.concat(left, ',')
  allow_at_maxmemory()
  redis.call('HSET', META, id, meta_text(meta))
end

-- The meta of a delivery that is the caller's, else nil and the answer. Ends its lease: a first write that is allowed
-- at maxmemory.
local function release(id, token, meta)
  if not meta then return nil, 'gone' end
  if meta.token ~= token then
    take_crash_back(id, meta, token)
    return nil, 'lost'
  end
  if redis.call('ZREM', LEASE, id) == 0 then return nil, 'free' end
  return meta
end

-- Undo `release`.
local function lease_again(id, lease_ms) redis.call('ZADD', LEASE, whole(read_clock() + lease_ms), id) end

local function forget(ids)
  if #ids == 0 then return end
  redis.call('HDEL', BODY, unpack(ids))
  redis.call('HDEL', META, unpack(ids))
  redis.call('HDEL', PAST, unpack(ids))
  drop_clock()
end
