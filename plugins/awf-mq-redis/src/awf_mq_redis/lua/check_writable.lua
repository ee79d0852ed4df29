-- Whether this user may write to a key of another queue. Tries a write that changes nothing. KEYS: a list, a stream, a
-- hash, or none of them yet. Returns the error, '' for none.
local key = KEYS[1]
local kind, answer = redis.call('TYPE', key)['ok'], nil
if kind == 'stream' then
  answer = redis.pcall('XDEL', key, '0-1')
elseif kind == 'hash' then
  answer = redis.pcall('HDEL', key, '')
elseif kind == 'list' or kind == 'none' then
  answer = redis.pcall('LTRIM', key, 0, -1)
end
return type(answer) == 'table' and answer.err or ''
