-- Put messages that were picked in another slot into this queue. ARGV: token, count, transfers.
local bad = wrong_type(QUEUE)
if bad then return bad end
local token = argument()
put(read_transfers(), 1, token)
return 'ok'
