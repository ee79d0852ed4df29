-- Read deliveries that are still the caller's: {meta, body, past} for each, '' for one that isn't.
-- For dead-letter streams in another slot of a cluster. ARGV: count; ids; deliveries of each.
local bad = wrong_queue()
if bad then return bad end
local ids, found = {}, {}
for index = 1, tonumber(argument()) do ids[index] = argument() end
local metas = all_metas(ids)
for index, id in ipairs(ids) do
  local deliveries = argument()
  found[index] = ''
  if metas[index] and read_meta(metas[index]).deliveries == deliveries then
    found[index] = {metas[index], redis.call('HGET', BODY, id) or '', redis.call('HGET', PAST, id) or ''}
  end
end
return found
