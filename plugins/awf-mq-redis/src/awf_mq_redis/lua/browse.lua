-- Read a page of a queue, from an offset in a section. ARGV: section, offset, limit.
-- Sections: 1 leases, 2 schedule, 3 landing list, 4 new. Returns {next section or 0, next offset, 1 = a dead-letter
-- stream follows, items}. Due times are given by the server's clock as it is now.
local bad = wrong_queue()
if bad then return bad end
local section, offset, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now, wall = read_clock()
local out = {}

local function records(zset, state)
  local found = redis.call('ZRANGE', zset, offset, offset + limit - #out - 1, 'WITHSCORES')
  for index = 1, #found, 2 do
    local id, score = found[index], tonumber(found[index + 1])
    out[#out + 1] = {score > now and state or 'ready', id, whole(wall + score - now), redis.call('HGET', BODY, id) or '',
                     redis.call('HGET', META, id) or '', redis.call('HGET', PAST, id) or ''}
  end
  offset = offset + #found / 2
end

local function plain(list)
  local found = redis.call('LRANGE', list, -offset - (limit - #out), -offset - 1)
  for index = #found, 1, -1 do
    out[#out + 1] = {'ready', redis.sha1hex(found[index]) .. '@' .. whole(offset + #found - index), '0',
                     found[index], '', ''}
  end
  offset = offset + #found
end

local is_stream = redis.call('TYPE', READY)['ok'] == 'stream'
local function size(which)
  if which == 4 and is_stream then return 0 end
  if which == 1 then return redis.call('ZCARD', LEASE) end
  if which == 2 then return redis.call('ZCARD', DUE) end
  return redis.call('LLEN', which == 3 and CLAIMING or READY)
end

while section <= 4 do
  if #out < limit and offset < size(section) then
    if section == 1 then records(LEASE, 'in_flight')
    elseif section == 2 then records(DUE, 'delayed')
    else plain(section == 3 and CLAIMING or READY) end
  end
  if offset < size(section) then break end
  section, offset = section + 1, 0
end
if section > 4 then section = 0 end
return {section, whole(offset), is_stream and 1 or 0, out}
