-- Claim up to `limit` messages under a lease, in this order: those in the landing list, those that are due, those whose
-- lease ended, new ones (or those of a dead-letter stream).
-- ARGV: limit, lease_ms, token, ends_ms (0 = the queue has no end), owner, max_body_bytes (-1 = any).
-- Returns {ms to the next due time or -1, deliveries, sources that have no message left in this dead-letter stream}.
-- A delivery: {id, deliveries, attempt, crashes, age_ms, history, size of the body, body ('' over max_body_bytes)}.
local bad = wrong_queue()
if bad then return bad end
allow_at_maxmemory()
local limit, token, ends, owner, max_body = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local now, wall, behind = tick()
local lease_end = whole(now + ARGV[2])
local out = {}

local function deliver(metas, leases, id, meta, body, past)
  meta.deliveries = meta.deliveries + 1
  if meta.first_seen == 0 then meta.first_seen = now end
  meta.token, meta.owner = token, owner
  metas[#metas + 1] = id
  metas[#metas + 1] = meta_text(meta)
  leases[#leases + 1] = lease_end
  leases[#leases + 1] = id
  local size = #body
  if max_body >= 0 and size > max_body then body = '' end
  out[#out + 1] = {id, meta.deliveries, meta.attempt, crash_count(meta), math.max(0, now - meta.first_seen), past, size,
                   body}
end

local function new_id() return string.format('%013.0f-%s-%04d', now, token, #out + 1) end

-- The list is cut last: a script that fails half-way leaves the message where it was.
local function claim_new(list)
  local room = limit - #out
  if room < 1 then return end
  local found = redis.call('LRANGE', list, -room, -1)
  if #found == 0 then return end
  local bodies, metas, leases = {}, {}, {}
  for index = #found, 1, -1 do
    local id = new_id()
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = found[index]
    deliver(metas, leases, id, new_meta(), found[index], '')
  end
  redis.call('HSET', BODY, unpack(bodies))
  redis.call('HSET', META, unpack(metas))
  redis.call('ZADD', LEASE, unpack(leases))
  redis.call('LTRIM', list, 0, -#found - 1)
end

-- A lease that ended is a crash of its owner, unless the owner itself claims: then it was only slow.
local function note_crash(meta)
  if meta.owner == owner or meta.token == '' then return end
  meta.crashed = meta.crashed == '' and meta.token or meta.crashed .. ',' .. meta.token
end

local function claim_again(zset)
  local room = limit - #out
  if room < 1 then return end
  local ids = redis.call('ZRANGEBYSCORE', zset, '-inf', whole(now), 'LIMIT', 0, room)
  if #ids == 0 then return end
  local known, bodies = redis.call('HMGET', META, unpack(ids)), redis.call('HMGET', BODY, unpack(ids))
  local pasts = redis.call('HMGET', PAST, unpack(ids))
  local metas, leases = {}, {}
  for index, id in ipairs(ids) do
    if known[index] and bodies[index] then
      local meta = read_meta(known[index])
      if zset == LEASE then note_crash(meta) end
      deliver(metas, leases, id, meta, bodies[index], pasts[index] or '')
    else
      redis.call('ZREM', zset, id)
      redis.call('HDEL', META, id)
      redis.call('HDEL', BODY, id)
      redis.call('HDEL', PAST, id)
    end
  end
  if #metas == 0 then return end
  redis.call('HSET', META, unpack(metas))
  redis.call('ZADD', LEASE, unpack(leases))
  if zset == DUE then redis.call('ZREM', DUE, unpack(ids)) end
end

local function claim_dead_messages()
  local transfers = dead_messages(limit - #out)
  if #transfers == 0 then return end
  for _, transfer in ipairs(transfers) do
    local id, meta, lease = free_id(transfer[4], new_id(), META), {}, {}
    deliver(meta, lease, id, new_meta(), transfer[3], transfer[5])
    redis.call('HSET', BODY, id, transfer[3])
    if transfer[5] ~= '' then redis.call('HSET', PAST, id, transfer[5]) end
    redis.call('HSET', META, unpack(meta))
    redis.call('ZADD', LEASE, unpack(lease))
    drop_dead_message(transfer)
  end
  drop_empty_stream()
end

claim_new(CLAIMING)
claim_again(DUE)
claim_again(LEASE)
if is_stream then claim_dead_messages() else claim_new(READY) end

if #out > 0 and not behind then keep_clock(now, wall) end
if ends > 0 and #out > 0 then
  for _, key in ipairs({LEASE, BODY, META, CLOCK}) do redis.call('PEXPIREAT', key, whole(ends)) end
end

local next_ms = -1
if #out == 0 then
  for _, zset in ipairs({DUE, LEASE}) do
    local head = redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')
    if head[2] then
      local left = math.max(0, head[2] - now)
      if next_ms < 0 or left < next_ms then next_ms = left end
    end
  end
  if next_ms < 0 and behind then drop_clock() end
end
return {next_ms, out, emptied}
