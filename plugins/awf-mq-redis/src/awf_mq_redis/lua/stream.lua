-- Dead letters as messages again; between a queue's keys and the scripts that take them out of their stream.
local is_stream = redis.call('TYPE', READY)['ok'] == 'stream'
local emptied = {}

-- {kind, id, body, message_id, past, source}
local function letter_parcel(entry)
  local fields = {}
  for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
  local event = cjson.encode({event = 'dead_letter', source = fields.source or '', reason = fields.reason or '',
    error = fields.error or '', attempt = tonumber(fields.attempt or 1), deliveries = tonumber(fields.deliveries or 0),
    dead_at = tonumber(string.match(entry[1], '^%d+')) / 1000})
  local past = fields.history or ''
  past = past == '' and event or past .. '\n' .. event
  return {'letter', entry[1], fields.body or '', fields.id or '', past, fields.source or ''}
end

local function letters_from(limit)
  local parcels = {}
  if not is_stream or limit < 1 then return parcels end
  for _, entry in ipairs(redis.call('XRANGE', READY, '-', '+', 'COUNT', limit)) do
    parcels[#parcels + 1] = letter_parcel(entry)
  end
  return parcels
end

-- Notes in `emptied` the sources of which no letter is left.
local function drop_letter(parcel)
  local id, source = parcel[2], parcel[6]
  if redis.call('XDEL', READY, id) == 1 and redis.call('HINCRBY', SOURCES, source, -1) <= 0 then
    redis.call('HDEL', SOURCES, source)
    emptied[#emptied + 1] = source
  end
end

local function drop_empty_stream()
  if is_stream and redis.call('XLEN', READY) == 0 then redis.call('DEL', READY, SOURCES) end
end
