-- Count a queue. Returns {ready, delayed, in flight, dead-letter queues with messages of it, id of the oldest entry
-- where it is a stream ('' else), the server's time}.
local bad = wrong_queue()
if bad then return bad end
local now, wall = read_clock()
now = whole(now)
local ready, oldest
if redis.call('TYPE', READY)['ok'] == 'stream' then
  local first = redis.call('XRANGE', READY, '-', '+', 'COUNT', 1)
  ready, oldest = redis.call('XLEN', READY), first[1] and first[1][1]
else
  ready = redis.call('LLEN', READY)
end
ready = ready + redis.call('LLEN', CLAIMING)
  + redis.call('ZCOUNT', DUE, '-inf', now) + redis.call('ZCOUNT', LEASE, '-inf', now)
return {ready, redis.call('ZCOUNT', DUE, '(' .. now, '+inf'), redis.call('ZCOUNT', LEASE, '(' .. now, '+inf'),
        redis.call('HKEYS', DLQS), oldest or '', whole(wall)}
