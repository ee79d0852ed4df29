-- Release deliveries, due after their delay.
-- ARGV: count; ids; then for each: deliveries, delay_ms, 1 = a failed attempt, reason as JSON ('' = none).
local MAX_HISTORY = 50
local bad = wrong_queue()
if bad then return bad end
local count = tonumber(argument())
local now = now_ms()
local ids, answers = {}, {}
for index = 1, count do ids[index] = argument() end
local metas = all_metas(ids)

local function note_failure(id, attempt, reason)
  local past = redis.call('HGET', PAST, id)
  local entry = '{"event":"nack","attempt":' .. attempt .. ',"at":' .. now / 1000 .. ',"reason":' .. reason .. '}'
  if not past then
    redis.call('HSET', PAST, id, entry)
  elseif select(2, string.gsub(past, '\n', '')) + 1 < MAX_HISTORY then
    redis.call('HSET', PAST, id, past .. '\n' .. entry)
  end
end

local function nack(id, deliveries, text, delay_ms, is_counted, reason)
  local meta, answer = release(id, deliveries, text)
  if not meta then return answer end
  -- First into the schedule: if a later command fails, the message is still redelivered.
  redis.call('ZADD', DUE, whole(now + delay_ms), id)
  local attempt, released = tonumber(meta.attempt), tonumber(meta.released)
  if is_counted then attempt = attempt + 1 else released = released + 1 end
  redis.call('HSET', META, id, meta_text(meta.deliveries, attempt, released, meta.first_seen, meta.message_id))
  if is_counted and reason ~= '' then note_failure(id, meta.attempt, reason) end
  return 'ok'
end

for index = 1, count do
  local deliveries, delay_ms, is_counted = argument(), argument(), argument() == '1'
  answers[index] = nack(ids[index], deliveries, metas[index], delay_ms, is_counted, argument())
end
return answers
