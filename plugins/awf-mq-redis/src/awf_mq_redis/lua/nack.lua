-- Release deliveries, due after their delay.
-- ARGV: count; ids; then for each: token, delay_ms, 1 = a failed attempt, history (a JSON object a line).
local bad = wrong_queue()
if bad then return bad end
local count = tonumber(argument())
local now = tick()
local ids, answers = {}, {}
for index = 1, count do ids[index] = argument() end
local metas = all_metas(ids)

local function nack(id, token, meta, delay_ms, is_counted, history)
  local owned, answer = release(id, token, meta)
  if not owned then return answer end
  -- First into the schedule: if a later command fails, the message is still redelivered.
  redis.call('ZADD', DUE, whole(now + delay_ms), id)
  if is_counted then
    meta.attempt = meta.attempt + 1
    redis.call('HSET', META, id, meta_text(meta))
  end
  if history ~= '' then redis.call('HSET', PAST, id, history) else redis.call('HDEL', PAST, id) end
  return 'ok'
end

for index = 1, count do
  local token, delay_ms, is_counted = argument(), argument(), argument() == '1'
  answers[index] = nack(ids[index], token, metas[index], delay_ms, is_counted, argument())
end
return answers
