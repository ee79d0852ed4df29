-- Move deliveries to a dead-letter stream, with their replies. KEYS: the queue's, the stream, its sources.
-- ARGV: count, lease_ms, source queue, dead-letter queue; ids; then for each: deliveries, reason, error, history
-- (a JSON object a line), replies.
local STREAM, STREAM_SOURCES = KEYS[10], KEYS[11]
local bad = wrong_queue() or wrong_type({'stream', 'hash'}, 10)
if bad then return bad end
local count, lease_ms, source, queue = tonumber(argument()), argument(), argument(), argument()
local now = now_ms()
local ids, answers, done = {}, {}, {}
for index = 1, count do ids[index] = argument() end
local metas = all_metas(ids)

local function add_dead_message(id, meta, item)
  local past = redis.call('HGET', PAST, id)
  local history = item.history
  if past then history = history == '' and past or past .. '\n' .. history end
  local message_id = meta.message_id ~= '' and meta.message_id or 'redis-' .. id
  local body = redis.call('HGET', BODY, id) or ''
  local added = redis.pcall('XADD', STREAM, '*', 'body', body, 'source', source, 'reason', item.reason,
    'error', item.error, 'history', history, 'id', message_id, 'attempt', meta.attempt,
    'deliveries', meta.deliveries, 'released', meta.released, 'first_seen', meta.first_seen)
  if type(added) == 'table' and added.err then return added.err end
  redis.call('HINCRBY', STREAM_SOURCES, source, 1)
  redis.call('HSET', DLQS, queue, 1)
end

local function dead_letter(id, deliveries, text, item, replies)
  local misfit = unfit(replies)
  if misfit then return misfit end
  local meta, answer = release(id, deliveries, text)
  if not meta then return answer end
  local failed
  for _, reply in ipairs(replies) do failed = failed or push(reply, now) end
  failed = failed or add_dead_message(id, meta, item)
  if failed then
    redis.call('ZADD', LEASE, whole(now + lease_ms), id)
    return 'err ' .. failed
  end
  done[#done + 1] = id
  return 'ok'
end

for index = 1, count do
  local deliveries = argument()
  local item = {reason = argument(), error = argument(), history = argument()}
  answers[index] = dead_letter(ids[index], deliveries, metas[index], item, read_replies())
end
forget(done)
keep_lists()
return answers
