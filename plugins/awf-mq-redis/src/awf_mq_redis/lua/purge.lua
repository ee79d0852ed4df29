-- Remove what nobody holds. KEYS[9]: sources of its letters. ARGV: how many scheduled or orphaned messages at most,
-- 1 = the lists too. Returns {removed, how many of those were scheduled or orphaned, sources without letters now}.
local bad = wrong_source() or wrong_type({'hash'}, 9)
if bad then return bad end
if redis.call('TYPE', READY)['ok'] == 'stream' then
  local count, sources = redis.call('XLEN', READY), redis.call('HKEYS', KEYS[9])
  redis.call('DEL', READY, KEYS[9])
  return {count, 0, sources}
end
local removed = 0
if ARGV[2] == '1' then
  removed = redis.call('LLEN', READY) + redis.call('LLEN', CLAIMING)
  redis.call('DEL', READY, CLAIMING)
end
local limit, now = tonumber(ARGV[1]), whole(now_ms())
local count = 0
for _, zset in ipairs({DUE, LEASE}) do
  local last = zset == DUE and '+inf' or now
  local ids = redis.call('ZRANGEBYSCORE', zset, '-inf', last, 'LIMIT', 0, limit - count)
  if #ids > 0 then
    redis.call('ZREM', zset, unpack(ids))
    redis.call('HDEL', BODY, unpack(ids))
    redis.call('HDEL', META, unpack(ids))
    redis.call('HDEL', PAST, unpack(ids))
    count = count + #ids
  end
end
return {removed + count, count, {}}
