-- How many messages of one source a dead-letter stream holds. KEYS: the stream, its sources. ARGV: the source.
local bad = wrong_type({'stream', 'hash'})
if bad then return bad end
local all = redis.call('XLEN', KEYS[1])
local counted = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
-- With a single source the stream's length is the count, also after a client trimmed it.
if counted > 0 and redis.call('HLEN', KEYS[2]) == 1 then return all end
return math.min(all, counted)
