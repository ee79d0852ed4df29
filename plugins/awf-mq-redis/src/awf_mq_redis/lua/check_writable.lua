-- Whether this user may write to keys of other queues. Writes that change nothing. KEYS: a list, stream or hash each.
-- Returns {key, error} for each that was refused.
local refused = {}
for _, key in ipairs(KEYS) do
  local kind, answer = redis.call('TYPE', key)['ok'], nil
  if kind == 'stream' then
    answer = redis.pcall('XDEL', key, '0-1')
  elseif kind == 'hash' then
    answer = redis.pcall('HDEL', key, '')
  else
    answer = redis.pcall('LTRIM', key, 0, -1)
  end
  if type(answer) == 'table' and answer.err then refused[#refused + 1] = {key, answer.err} end
end
return refused
