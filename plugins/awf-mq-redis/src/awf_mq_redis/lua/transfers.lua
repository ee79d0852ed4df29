-- Transfers: messages that move from one queue to another, {kind, id, body, the id it brings, past, source}.
-- kind: dead (of a stream) | due | lease | claiming | ready. Stands after dead_letter_stream.lua.

local function record_transfer(kind, id)
  return {kind, id, redis.call('HGET', BODY, id) or '', id, redis.call('HGET', PAST, id) or '', ''}
end

local function is_free(id, now)
  if redis.call('ZSCORE', DUE, id) then return 'due' end
  local lease = redis.call('ZSCORE', LEASE, id)
  if lease and tonumber(lease) <= now then return 'lease' end
end

local function pick_named_bodies(transfers, kind, list, limit, wanted)
  local size, offset = redis.call('LLEN', list), 0
  while wanted.left > 0 and offset < size and #transfers < limit do
    local found = redis.call('LRANGE', list, -offset - 200, -offset - 1)
    for index = #found, 1, -1 do
      local hash = redis.sha1hex(found[index])
      if (wanted[hash] or 0) > 0 and #transfers < limit then
        wanted[hash], wanted.left = wanted[hash] - 1, wanted.left - 1
        transfers[#transfers + 1] = {kind, '', found[index], '', '', ''}
      end
    end
    offset = offset + #found
  end
end

local function pick_named_dead_message(transfers, id)
  if not is_stream then return end
  for _, entry in ipairs(redis.call('XRANGE', READY, id, id)) do transfers[#transfers + 1] = dead_transfer(entry) end
end

local function pick_named(limit, ids, now)
  local transfers, wanted = {}, {left = 0}
  for _, id in ipairs(ids) do
    local hash = string.match(id, '^(%x+)@%d+$')
    local kind = not hash and is_free(id, now)
    if hash then
      wanted[hash], wanted.left = (wanted[hash] or 0) + 1, wanted.left + 1
    elseif kind and #transfers < limit then
      transfers[#transfers + 1] = record_transfer(kind, id)
    elseif #transfers < limit and string.match(id, '^%d+%-%d+$') then
      pick_named_dead_message(transfers, id)
    end
  end
  table.sort(transfers, function(one, other) return one[2] < other[2] end)
  pick_named_bodies(transfers, 'claiming', CLAIMING, limit, wanted)
  if not is_stream then pick_named_bodies(transfers, 'ready', READY, limit, wanted) end
  return transfers
end

local function pick_any(limit, now)
  local transfers = {}
  local function take(kind, ids)
    for _, id in ipairs(ids) do transfers[#transfers + 1] = record_transfer(kind, id) end
  end
  local function take_bodies(kind, list)
    local room = limit - #transfers
    if room < 1 then return end
    local found = redis.call('LRANGE', list, -room, -1)
    for index = #found, 1, -1 do transfers[#transfers + 1] = {kind, '', found[index], '', '', ''} end
  end
  take_bodies('claiming', CLAIMING)
  take('lease', redis.call('ZRANGEBYSCORE', LEASE, '-inf', whole(now), 'LIMIT', 0, limit - #transfers))
  take('due', redis.call('ZRANGEBYSCORE', DUE, '-inf', '+inf', 'LIMIT', 0, limit - #transfers))
  if is_stream then
    for _, transfer in ipairs(dead_messages(limit - #transfers)) do transfers[#transfers + 1] = transfer end
  else
    take_bodies('ready', READY)
  end
  return transfers
end

local function pick(limit, ids)
  local now = tick()
  if ids then return pick_named(limit, ids, now) end
  return pick_any(limit, now)
end

-- Remove what was picked from its queue; returns the sources that have no message left in the stream.
local function drop(transfers)
  for _, transfer in ipairs(transfers) do
    local kind, id = transfer[1], transfer[2]
    if kind == 'dead' then
      drop_dead_message(transfer)
    elseif kind == 'ready' or kind == 'claiming' then
      redis.call('LREM', kind == 'ready' and READY or CLAIMING, -1, transfer[3])
    else
      redis.call('ZREM', kind == 'due' and DUE or LEASE, id)
      redis.call('HDEL', BODY, id)
      redis.call('HDEL', META, id)
      redis.call('HDEL', PAST, id)
    end
  end
  drop_empty_stream()
  drop_clock()
  return emptied
end

-- Put transfers into the queue whose keys start at KEYS[first]. Plain bodies are pushed as by a producer; the others
-- keep their history and, where it is free there, their id. They start at attempt 1.
local function put(transfers, first, token)
  local body, meta, past, clock = KEYS[first + 4], KEYS[first + 5], KEYS[first + 6], KEYS[first + 9]
  local now, wall, behind = read_clock(clock)
  local has_records = false
  for index, transfer in ipairs(transfers) do
    if transfer[4] == '' and transfer[5] == '' then
      redis.call('LPUSH', KEYS[first], transfer[3])
    else
      local id = free_id(transfer[4], string.format('%013.0f-%s-%04d', now, token, index), meta)
      redis.call('HSET', body, id, transfer[3])
      redis.call('HSET', meta, id, meta_text(new_meta()))
      if transfer[5] ~= '' then redis.call('HSET', past, id, transfer[5]) end
      redis.call('ZADD', KEYS[first + 2], whole(now), id)
      has_records = true
    end
  end
  if has_records and not behind then keep_clock(now, wall, clock) end
end

local function read_ids()
  local count = tonumber(argument())
  if count < 0 then return nil end
  local ids = {}
  for index = 1, count do ids[index] = argument() end
  return ids
end

local function read_transfers()
  local transfers = {}
  for index = 1, tonumber(argument()) do
    transfers[index] = {argument(), argument(), argument(), argument(), argument(), argument()}
  end
  return transfers
end
