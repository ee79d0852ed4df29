-- End deliveries with their replies and remembered state, each as a whole or not at all.
-- ARGV: count, lease_ms; ids; then for each: token, state key's position (0 = none) [, value, ttl_ms], replies.
local bad = wrong_queue()
if bad then return bad end
local count, lease_ms = tonumber(argument()), argument()
local wall = wall_ms()
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
    failed = failed or push(reply, wall)
  end
  return failed
end

local function end_one(id, token, meta, state, replies)
  local misfit = unfit(replies, wall)
  if misfit then return misfit end
  local owned, answer = release(id, token, meta)
  if not owned then return answer end
  local failed = publish(state, replies)
  if failed then
    lease_again(id, lease_ms)
    return 'err ' .. failed
  end
  done[#done + 1] = id
  return 'ok'
end

for index = 1, count do
  local token, at, state = argument(), tonumber(argument()), nil
  if at > 0 then state = {key = KEYS[at], value = argument(), ttl = argument()} end
  answers[index] = end_one(ids[index], token, metas[index], state, read_replies())
end
forget(done)
keep_lists()
return answers
