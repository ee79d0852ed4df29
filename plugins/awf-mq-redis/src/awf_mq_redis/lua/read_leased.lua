-- Read deliveries that are still the caller's, for dead-letter streams in another slot of a cluster.
-- ARGV: count; ids; tokens. Returns {deliveries, attempt, crashes, first_seen_ms, body} for each, '' for one that isn't.
local bad = wrong_queue()
if bad then return bad end
local ids, found = {}, {}
for index = 1, tonumber(argument()) do ids[index] = argument() end
local now, wall = read_clock()
local metas = all_metas(ids)
for index, id in ipairs(ids) do
  local token, meta = argument(), metas[index]
  found[index] = ''
  if meta and meta.token == token then
    found[index] = {meta.deliveries, meta.attempt, crash_count(meta), whole(wall - (now - meta.first_seen)),
                    redis.call('HGET', BODY, id) or ''}
  end
end
return found
