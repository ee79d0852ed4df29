-- Move messages that are not in flight to another queue. KEYS: a queue's, the other queue's.
-- ARGV: limit, token, count of ids (-1 = any), ids. Returns {moved, sources without a message in this stream now}.
local bad = wrong_queue() or wrong_type(QUEUE, 11)
if bad then return bad end
allow_at_maxmemory()
local limit, token = tonumber(argument()), argument()
local transfers = pick(limit, read_ids())
-- Put before drop: a script that fails in between doubles a message, and loses none.
put(transfers, 11, token)
return {#transfers, drop(transfers)}
