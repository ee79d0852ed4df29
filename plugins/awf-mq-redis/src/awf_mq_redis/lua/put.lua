-- Put parcels that were picked in another slot into this queue. ARGV: token, count, parcels.
local bad = wrong_type(QUEUE)
if bad then return bad end
local token = argument()
put(read_parcels(), 1, token)
return 'ok'
