-- Move messages nobody holds to another queue. KEYS: a queue's, the other queue's.
-- ARGV: limit, token, count of ids (-1 = any), ids. Returns {moved, sources without letters now}.
local bad = wrong_queue() or wrong_type(QUEUE, 10)
if bad then return bad end
allow_at_maxmemory()
local limit, token = tonumber(argument()), argument()
local parcels = pick(limit, read_ids())
-- In before out: a script that fails in between doubles a message, and loses none.
put(parcels, 10, token)
return {#parcels, drop(parcels)}
