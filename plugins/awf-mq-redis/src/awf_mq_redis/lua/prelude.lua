-- Stands before every script. Times are the server's, so the workers' clocks don't matter.
local function wall_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number) return string.format('%.0f', number) end

-- The first of KEYS that holds another type than `kinds` says, as an error reply; nil when all fit.
local function wrong_type(kinds, first)
  for index, kind in ipairs(kinds) do
    local key = KEYS[(first or 1) + index - 1]
    local found = redis.call('TYPE', key)['ok']
    if found ~= kind and found ~= 'none' then
      return redis.error_reply('AWFTYPE ' .. found .. ' ' .. kind .. ' ' .. key)
    end
  end
end

local position = 0
local function argument()
  position = position + 1
  return ARGV[position]
end
