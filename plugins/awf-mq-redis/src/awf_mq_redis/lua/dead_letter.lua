-- Move deliveries to a dead-letter stream, with their replies. KEYS: the queue's, the stream, its sources.
-- ARGV: count, lease_ms, source queue, dead-letter queue; ids; then for each: token, reason, error, history
-- (a JSON object a line), replies.
local STREAM, STREAM_SOURCES = KEYS[11], KEYS[12]
local bad = wrong_queue() or wrong_type({'stream', 'hash'}, 11)
if bad then return bad end
local count, lease_ms, source, queue = tonumber(argument()), argument(), argument(), argument()
local now, wall = read_clock()
local ids, answers, done = {}, {}, {}
for index = 1, count do ids[index] = argument() end
local metas = all_metas(ids)

local function add_dead_message(id, meta, item)
  local body = redis.call('HGET', BODY, id) or ''
  local added = redis.pcall('XADD', STREAM, '*', 'body', body, 'source', source, 'reason', item.reason,
    'error', item.error, 'history', item.history, 'id', 'redis-' .. id, 'attempt', whole(meta.attempt),
    'deliveries', whole(meta.deliveries), 'crashes', crash_count(meta),
    'first_seen', whole(wall - (now - meta.first_seen)))
  if type(added) == 'table' and added.err then return added.err end
  redis.call('HINCRBY', STREAM_SOURCES, source, 1)
  redis.call('HSET', DLQS, queue, 1)
end

local function dead_letter(id, token, meta, item, replies)
  local misfit = unfit(replies, wall)
  if misfit then return misfit end
  local owned, answer = release(id, token, meta)
  if not owned then return answer end
  local failed
  for _, reply in ipairs(replies) do failed = failed or push(reply, wall) end
  failed = failed or add_dead_message(id, meta, item)
  if failed then
    lease_again(id, lease_ms)
    return 'err ' .. failed
  end
  done[#done + 1] = id
  return 'ok'
end

for index = 1, count do
  local token = argument()
  local item = {reason = argument(), error = argument(), history = argument()}
  answers[index] = dead_letter(ids[index], token, metas[index], item, read_replies())
end
forget(done)
keep_lists()
return answers
