-- The messages nobody holds, for a move into another slot of a cluster. ARGV: limit, count of ids (-1 = any), ids.
local bad = wrong_queue()
if bad then return bad end
local limit = tonumber(argument())
return pick(limit, read_ids())
