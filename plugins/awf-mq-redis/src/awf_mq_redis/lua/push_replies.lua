-- Push replies to a list that ends, or that is in another slot. KEYS: the list, its role.
-- ARGV: count, then for each: 1, 2, keep_ms, ends_ms, body.
local replies, wall = read_replies(), wall_ms()
local misfit = unfit(replies, wall)
if misfit then return misfit end
for _, reply in ipairs(replies) do
  local failed = push(reply, wall)
  if failed then return redis.error_reply(failed) end
end
keep_lists()
return 'ok'
