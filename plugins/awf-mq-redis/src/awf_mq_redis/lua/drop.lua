-- Take parcels that were put into another slot out of this queue. ARGV: count, parcels.
local bad = wrong_queue()
if bad then return bad end
return drop(read_parcels())
