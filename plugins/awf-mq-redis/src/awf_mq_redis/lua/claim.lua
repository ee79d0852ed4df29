-- Take up to `limit` messages under a lease: stranded, due, orphaned, new ones (or letters), in this order.
-- ARGV: limit, lease_ms, token, ends_ms (0 = the queue has no end). Returns {ms to the next due
-- time or -1, deliveries, sources of which a dead-letter stream has no letter left}.
local bad = wrong_queue()
if bad then return bad end
allow_at_maxmemory()
local limit, token, ends = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[4])
local now = now_ms()
local lease_end = whole(now + ARGV[2])
local out = {}

local function hand_out(metas, leases, id, meta, body)
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
local function take_new(list)
  local room = limit - #out
  if room < 1 then return end
  local found = redis.call('LRANGE', list, -room, -1)
  if #found == 0 then return end
  local bodies, metas, leases = {}, {}, {}
  for index = #found, 1, -1 do
    local id = string.format('%013.0f-%s-%04d', now, token, #out + 1)
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = found[index]
    hand_out(metas, leases, id, {deliveries = 0, attempt = 1, released = 0, first_seen = 0, message_id = ''},
             found[index])
  end
  redis.call('HSET', BODY, unpack(bodies))
  redis.call('HSET', META, unpack(metas))
  redis.call('ZADD', LEASE, unpack(leases))
  redis.call('LTRIM', list, 0, -#found - 1)
end

local function take_again(zset)
  local room = limit - #out
  if room < 1 then return end
  local ids = redis.call('ZRANGEBYSCORE', zset, '-inf', whole(now), 'LIMIT', 0, room)
  if #ids == 0 then return end
  local known, bodies = redis.call('HMGET', META, unpack(ids)), redis.call('HMGET', BODY, unpack(ids))
  local metas, leases = {}, {}
  for index, id in ipairs(ids) do
    if known[index] and bodies[index] then
      hand_out(metas, leases, id, read_meta(known[index]), bodies[index])
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

local function take_letters()
  local parcels = letters_from(limit - #out)
  if #parcels == 0 then return end
  local bodies, metas, leases = {}, {}, {}
  for _, parcel in ipairs(parcels) do
    local id = string.format('%013.0f-%s-%04d', now, token, #out + 1)
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = parcel[3]
    redis.call('HSET', PAST, id, parcel[5])
    hand_out(metas, leases, id, {deliveries = 0, attempt = 1, released = 0, first_seen = 0, message_id = parcel[4]},
             parcel[3])
  end
  redis.call('HSET', BODY, unpack(bodies))
  redis.call('HSET', META, unpack(metas))
  redis.call('ZADD', LEASE, unpack(leases))
  for _, parcel in ipairs(parcels) do drop_letter(parcel) end
  drop_empty_stream()
end

take_new(CLAIMING)
take_again(DUE)
take_again(LEASE)
if is_stream then take_letters() else take_new(READY) end

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
