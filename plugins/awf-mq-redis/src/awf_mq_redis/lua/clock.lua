-- The queue's own clock, kept as wall_ms:queue_ms. It adds the time since the script before where that is between zero
-- and MAX_STEP_MS, and nothing otherwise: a step of the server's clock is no time. A queue without records has no
-- clock, and begins with the server's time. Stands after queue.lua.
local MAX_STEP_MS, KEPT_FOR_MS = 10000, 200

-- The queue's time, the server's, and how far the kept one is behind (nil = none is kept).
local function read_clock(key)
  local wall = wall_ms()
  local kept_wall, kept = string.match(redis.call('GET', key or CLOCK) or '', '^(%d+):(%d+)$')
  if not kept_wall then return wall, wall, nil end
  local behind = wall - kept_wall
  local is_time = behind >= 0 and behind <= MAX_STEP_MS
  return kept + (is_time and behind or 0), wall, behind
end

local function keep_clock(now, wall, key)
  redis.call('SET', key or CLOCK, whole(wall) .. ':' .. whole(now), 'KEEPTTL')
end

-- read_clock, with the clock kept. For scripts that are allowed at maxmemory.
local function tick()
  local now, wall, behind = read_clock()
  if behind and (behind < 0 or behind > KEPT_FOR_MS) then
    allow_at_maxmemory()
    keep_clock(now, wall)
  end
  return now, wall, behind
end

local function drop_clock()
  if redis.call('HLEN', META) == 0 then redis.call('DEL', CLOCK) end
end
