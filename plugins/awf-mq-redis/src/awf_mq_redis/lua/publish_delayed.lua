-- Store messages that are due later. ARGV: token, count, then for each: delay_ms, body.
local bad = wrong_type(QUEUE)
if bad then return bad end
local token, count = argument(), tonumber(argument())
local now, wall, behind = read_clock()
for index = 1, count do
  local id = string.format('%013.0f-%s-%04d', now, token, index)
  local delay_ms, body = argument(), argument()
  redis.call('HSET', BODY, id, body)
  redis.call('HSET', META, id, meta_text(new_meta()))
  redis.call('ZADD', DUE, whole(now + delay_ms), id)
end
if not behind then keep_clock(now, wall) end
return 'ok'
