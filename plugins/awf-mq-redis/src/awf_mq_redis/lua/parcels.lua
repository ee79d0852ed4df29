-- Parcels: messages on their way from one queue to another, {kind, id, body, message_id, past, source}. After stream.
-- kind: letter (of a stream) | due | lease | claiming | ready.

local function record_parcel(kind, id)
  local meta = read_meta(redis.call('HGET', META, id) or '0:1:0:0:')
  local message_id = meta.message_id ~= '' and meta.message_id or 'redis-' .. id
  return {kind, id, redis.call('HGET', BODY, id) or '', message_id, redis.call('HGET', PAST, id) or '', ''}
end

local function is_free(id, now)
  if redis.call('ZSCORE', DUE, id) then return 'due' end
  local lease = redis.call('ZSCORE', LEASE, id)
  if lease and tonumber(lease) <= now then return 'lease' end
end

local function pick_named_bodies(parcels, kind, list, limit, wanted)
  local size, offset = redis.call('LLEN', list), 0
  while wanted.left > 0 and offset < size and #parcels < limit do
    local found = redis.call('LRANGE', list, -offset - 200, -offset - 1)
    for index = #found, 1, -1 do
      local hash = redis.sha1hex(found[index])
      if (wanted[hash] or 0) > 0 and #parcels < limit then
        wanted[hash], wanted.left = wanted[hash] - 1, wanted.left - 1
        parcels[#parcels + 1] = {kind, '', found[index], '', '', ''}
      end
    end
    offset = offset + #found
  end
end

local function pick_named_letter(parcels, id)
  if not is_stream then return end
  for _, entry in ipairs(redis.call('XRANGE', READY, id, id)) do parcels[#parcels + 1] = letter_parcel(entry) end
end

local function pick_named(limit, ids, now)
  local parcels, wanted = {}, {left = 0}
  for _, id in ipairs(ids) do
    local hash = string.match(id, '^(%x+)@%d+$')
    local kind = not hash and is_free(id, now)
    if hash then
      wanted[hash], wanted.left = (wanted[hash] or 0) + 1, wanted.left + 1
    elseif kind and #parcels < limit then
      parcels[#parcels + 1] = record_parcel(kind, id)
    elseif #parcels < limit and string.match(id, '^%d+%-%d+$') then
      pick_named_letter(parcels, id)
    end
  end
  table.sort(parcels, function(one, other) return one[2] < other[2] end)
  pick_named_bodies(parcels, 'claiming', CLAIMING, limit, wanted)
  if not is_stream then pick_named_bodies(parcels, 'ready', READY, limit, wanted) end
  return parcels
end

local function pick_any(limit, now)
  local parcels = {}
  local function take(kind, ids)
    for _, id in ipairs(ids) do parcels[#parcels + 1] = record_parcel(kind, id) end
  end
  local function take_bodies(kind, list)
    local room = limit - #parcels
    if room < 1 then return end
    local found = redis.call('LRANGE', list, -room, -1)
    for index = #found, 1, -1 do parcels[#parcels + 1] = {kind, '', found[index], '', '', ''} end
  end
  take_bodies('claiming', CLAIMING)
  take('lease', redis.call('ZRANGEBYSCORE', LEASE, '-inf', whole(now), 'LIMIT', 0, limit - #parcels))
  take('due', redis.call('ZRANGEBYSCORE', DUE, '-inf', '+inf', 'LIMIT', 0, limit - #parcels))
  if is_stream then
    for _, parcel in ipairs(letters_from(limit - #parcels)) do parcels[#parcels + 1] = parcel end
  else
    take_bodies('ready', READY)
  end
  return parcels
end

local function pick(limit, ids)
  local now = now_ms()
  if ids then return pick_named(limit, ids, now) end
  return pick_any(limit, now)
end

-- Take what was picked from its queue; returns the sources of which a stream now holds no letter.
local function drop(parcels)
  for _, parcel in ipairs(parcels) do
    local kind, id = parcel[1], parcel[2]
    if kind == 'letter' then
      drop_letter(parcel)
    elseif kind == 'ready' or kind == 'claiming' then
      redis.call('LREM', kind == 'ready' and READY or CLAIMING, -1, parcel[3])
    else
      redis.call('ZREM', kind == 'due' and DUE or LEASE, id)
      redis.call('HDEL', BODY, id)
      redis.call('HDEL', META, id)
      redis.call('HDEL', PAST, id)
    end
  end
  drop_empty_stream()
  return emptied
end

-- Put parcels into the queue whose keys start at KEYS[first]: plain bodies as any producer would, the others with
-- their id and history, to start afresh.
local function put(parcels, first, token)
  local now = now_ms()
  for index, parcel in ipairs(parcels) do
    if parcel[4] == '' and parcel[5] == '' then
      redis.call('LPUSH', KEYS[first], parcel[3])
    else
      local id = string.format('%013.0f-%s-%04d', now, token, index)
      redis.call('HSET', KEYS[first + 4], id, parcel[3])
      redis.call('HSET', KEYS[first + 5], id, meta_text(0, 1, 0, 0, parcel[4]))
      if parcel[5] ~= '' then redis.call('HSET', KEYS[first + 6], id, parcel[5]) end
      redis.call('ZADD', KEYS[first + 2], whole(now), id)
    end
  end
end

local function read_ids()
  local count = tonumber(argument())
  if count < 0 then return nil end
  local ids = {}
  for index = 1, count do ids[index] = argument() end
  return ids
end

local function read_parcels()
  local parcels = {}
  for index = 1, tonumber(argument()) do
    parcels[index] = {argument(), argument(), argument(), argument(), argument(), argument()}
  end
  return parcels
end
