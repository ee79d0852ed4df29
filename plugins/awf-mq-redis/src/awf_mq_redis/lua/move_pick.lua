-- Read messages that are not in flight, for a move to another slot of a cluster.
-- ARGV: limit, count of ids (-1 = any), ids.
local bad = wrong_queue()
if bad then return bad end
local limit = tonumber(argument())
return pick(limit, read_ids())
