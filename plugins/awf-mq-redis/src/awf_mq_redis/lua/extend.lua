-- Renew leases, ended ones too where no other worker has the message.
-- ARGV: count, lease_ms; ids; tokens. Returns an answer for each.
local bad = wrong_queue()
if bad then return bad end
local count, lease_ms = tonumber(argument()), argument()
local lease_end = whole(tick() + lease_ms)
local ids, answers = {}, {}
for index = 1, count do ids[index] = argument() end
local metas = all_metas(ids)
for index, id in ipairs(ids) do
  local owned, answer = release(id, argument(), metas[index])
  if owned then redis.call('ZADD', LEASE, lease_end, id) end
  answers[index] = answer or 'ok'
end
return answers
