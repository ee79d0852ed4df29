-- Remove messages that are not in flight. ARGV: how many scheduled or orphaned messages at most, 1 = all others too.
-- Returns {removed, how many of those were scheduled or orphaned, sources without a message in this stream now}.
local bad = wrong_queue()
if bad then return bad end
local removed, sources = 0, {}
if ARGV[2] == '1' then
  removed = redis.call('LLEN', CLAIMING)
  if redis.call('TYPE', READY)['ok'] == 'stream' then
    removed, sources = removed + redis.call('XLEN', READY), redis.call('HKEYS', SOURCES)
    redis.call('DEL', SOURCES)
  else
    removed = removed + redis.call('LLEN', READY)
  end
  redis.call('DEL', READY, CLAIMING)
end
local limit, now = tonumber(ARGV[1]), whole(tick())
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
drop_clock()
return {removed + count, count, sources}
