-- Claim up to `limit` messages under a lease, in this order: those in the landing list, those that are due, those whose
-- lease ended, new ones (or those of a dead-letter stream).
-- ARGV: limit, lease_ms, token, ends_ms (0 = the queue has no end).
-- Returns {ms to the next due time or -1, deliveries, sources that have no message left in this dead-letter stream}.
local bad = wrong_queue()
if bad then return bad end
allow_at_maxmemory()
local limit, token, ends = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[4])
local now = now_ms()
local lease_end = whole(now + ARGV[2])
local out = {}

local function deliver(metas, leases, id, meta, body)
  local deliveries, first_seen = meta.deliveries + 1, tonumber(meta.first_seen)
  if first_seen == 0 then first_seen = now end
  metas[#metas + 1] = id
  metas[#metas + 1] = meta_text(deliveries, meta.attempt, meta.released, first_seen, meta.message_id)
  leases[#leases + 1] = lease_end
  leases[#leases + 1] = id
  out[#out + 1] = {id, deliveries, tonumber(meta.attempt), tonumber(meta.released), whole(first_seen),
                   meta.message_id, body}
end

-- The list is cut last: a script that fails half-way leaves the message where it was.
local function claim_new(list)
  local room = limit - #out
  if room < 1 then return end
  local found = redis.call('LRANGE', list, -room, -1)
  if #found == 0 then return end
  local bodies, metas, leases = {}, {}, {}
  for index = #found, 1, -1 do
    local id = string.format('%013.0f-%s-%04d', now, token, #out + 1)
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = found[index]
    deliver(metas, leases, id, {deliveries = 0, attempt = 1, released = 0, first_seen = 0, message_id = ''},
             found[index])
  end
  redis.call('HSET', BODY, unpack(bodies))
  redis.call('HSET', META, unpack(metas))
  redis.call('ZADD', LEASE, unpack(leases))
  redis.call('LTRIM', list, 0, -#found - 1)
end

local function claim_again(zset)
  local room = limit - #out
  if room < 1 then return end
  local ids = redis.call('ZRANGEBYSCORE', zset, '-inf', whole(now), 'LIMIT', 0, room)
  if #ids == 0 then return end
  local known, bodies = redis.call('HMGET', META, unpack(ids)), redis.call('HMGET', BODY, unpack(ids))
  local metas, leases = {}, {}
  for index, id in ipairs(ids) do
    if known[index] and bodies[index] then
      deliver(metas, leases, id, read_meta(known[index]), bodies[index])
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
  local bodies, metas, leases = {}, {}, {}
  for _, transfer in ipairs(transfers) do
    local id = string.format('%013.0f-%s-%04d', now, token, #out + 1)
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = transfer[3]
    redis.call('HSET', PAST, id, transfer[5])
    deliver(metas, leases, id, {deliveries = 0, attempt = 1, released = 0, first_seen = 0, message_id = transfer[4]},
             transfer[3])
  end
  redis.call('HSET', BODY, unpack(bodies))
  redis.call('HSET', META, unpack(metas))
  redis.call('ZADD', LEASE, unpack(leases))
  for _, transfer in ipairs(transfers) do drop_dead_message(transfer) end
  drop_empty_stream()
end

claim_new(CLAIMING)
claim_again(DUE)
claim_again(LEASE)
if is_stream then claim_dead_messages() else claim_new(READY) end

if ends > 0 and #out > 0 then
  for _, key in ipairs({LEASE, BODY, META}) do redis.call('PEXPIREAT', key, whole(ends)) end
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
end
return {next_ms, out, emptied}
