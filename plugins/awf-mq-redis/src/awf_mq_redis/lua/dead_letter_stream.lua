-- Dead-lettered messages as messages again. Stands between queue.lua and the scripts that read them from their stream.
local is_stream = redis.call('TYPE', READY)['ok'] == 'stream'
local emptied = {}

-- {kind, id, body, the id the message had, past, source}
local function dead_transfer(entry)
  local fields = {}
  for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
  local brought = string.match(fields.id or '', '^redis%-(.+)$') or ''
  return {'dead', entry[1], fields.body or '', brought, fields.history or '', fields.source or ''}
end

local function dead_messages(limit)
  local transfers = {}
  if not is_stream or limit < 1 then return transfers end
  for _, entry in ipairs(redis.call('XRANGE', READY, '-', '+', 'COUNT', limit)) do
    transfers[#transfers + 1] = dead_transfer(entry)
  end
  return transfers
end

-- Adds to `emptied` the sources that have no message left.
local function drop_dead_message(transfer)
  local id, source = transfer[2], transfer[6]
  if redis.call('XDEL', READY, id) == 1 and redis.call('HINCRBY', SOURCES, source, -1) <= 0 then
    redis.call('HDEL', SOURCES, source)
    emptied[#emptied + 1] = source
  end
end

local function drop_empty_stream()
  if is_stream and redis.call('XLEN', READY) == 0 then redis.call('DEL', READY, SOURCES) end
end
