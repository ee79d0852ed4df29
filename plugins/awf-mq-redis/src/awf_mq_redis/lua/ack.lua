-- End deliveries with their replies and remembered state, each as a whole or not at all.
-- ARGV: count, lease_ms; ids; then for each: deliveries, state key's position (0 = none) [, value, ttl_ms], replies.
local bad = wrong_queue()
if bad then return bad end
local count, lease_ms = tonumber(argument()), argument()
local now = now_ms()
local ids, answers, done = {}, {}, {}
for index = 1, count do ids[index] = argument() end
local metas = all_metas(ids)

local function remember(state)
  if not state then return end
  local written = redis.pcall('SET', state.key, state.value, 'PX', state.ttl)
  if written.err then return written.err end
end

local function publish(state, replies)
  local failed = remember(state)
  for _, reply in ipairs(replies) do
    failed = failed or push(reply, now)
  end
  return failed
end

local function end_one(id, deliveries, text, state, replies)
  local misfit = unfit(replies)
  if misfit then return misfit end
  local meta, answer = release(id, deliveries, text)
  if not meta then return answer end
  local failed = publish(state, replies)
  if failed then
    redis.call('ZADD', LEASE, whole(now + lease_ms), id)
    return 'err ' .. failed
  end
  done[#done + 1] = id
  return 'ok'
end

for index = 1, count do
  local deliveries, at, state = argument(), tonumber(argument()), nil
  if at > 0 then state = {key = KEYS[at], value = argument(), ttl = argument()} end
  answers[index] = end_one(ids[index], deliveries, metas[index], state, read_replies())
end
forget(done)
keep_lists()
return answers
