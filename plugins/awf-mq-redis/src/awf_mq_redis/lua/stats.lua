-- Count a queue, or a dead-letter stream. Returns {'queue', ready, delayed, in flight, dead-letter queues of its
-- letters} or {'stream', letters, id of the oldest}.
local kind = redis.call('TYPE', READY)['ok']
if kind == 'stream' then
  local first = redis.call('XRANGE', READY, '-', '+', 'COUNT', 1)
  return {'stream', redis.call('XLEN', READY), first[1] and first[1][1] or '', whole(now_ms())}
end
local bad = wrong_type(QUEUE)
if bad then return bad end
local now = whole(now_ms())
local ready = redis.call('LLEN', READY) + redis.call('LLEN', CLAIMING)
  + redis.call('ZCOUNT', DUE, '-inf', now) + redis.call('ZCOUNT', LEASE, '-inf', now)
return {'queue', ready, redis.call('ZCOUNT', DUE, '(' .. now, '+inf'), redis.call('ZCOUNT', LEASE, '(' .. now, '+inf'),
        redis.call('HKEYS', LETTERS)}
