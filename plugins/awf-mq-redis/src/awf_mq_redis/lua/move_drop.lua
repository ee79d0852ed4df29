-- Remove messages from this queue that were put into another slot. ARGV: count, transfers.
local bad = wrong_queue()
if bad then return bad end
return drop(read_transfers())
