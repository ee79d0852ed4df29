-- Take parcels that were put into another slot out of this queue. KEYS[9]: sources of its letters. ARGV: count, parcels.
local bad = wrong_source() or wrong_type({'hash'}, 9)
if bad then return bad end
return drop(read_parcels(), KEYS[9])
