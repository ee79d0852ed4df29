-- Add one message to a dead-letter stream in another slot. KEYS: the stream, its sources.
-- ARGV: source, then fields and values.
local bad = wrong_type({'stream', 'hash'})
if bad then return bad end
local fields = {}
for index = 2, #ARGV do fields[index - 1] = ARGV[index] end
redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
return 'ok'
