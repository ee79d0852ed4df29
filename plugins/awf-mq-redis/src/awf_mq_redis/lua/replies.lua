-- Push replies to their lists. TYPE, PTTL and role of each list are read once a script.
local lists = {}

local function list_at(key, role)
  local list = lists[key]
  if not list then
    list = {kind = redis.call('TYPE', key)['ok'], left = redis.call('PTTL', key), keep = 0,
            role = role and redis.call('GET', role)}
    lists[key] = list
  end
  return list
end

local function read_replies()
  local replies = {}
  for _ = 1, tonumber(argument()) do
    replies[#replies + 1] = {key = KEYS[tonumber(argument())], role = KEYS[tonumber(argument())], keep = tonumber(argument()),
                             ends = tonumber(argument()), body = argument()}
  end
  return replies
end

-- Why one of the replies can't be pushed, nil when all can: its key holds no list, its queue was ensured for something
-- else, or its private queue's time is over.
local function unfit(replies, wall)
  for _, reply in ipairs(replies) do
    local list = list_at(reply.key, reply.role)
    local kind, role = list.kind, list.role
    if role and role ~= 'reply' then return 'role ' .. role .. ' ' .. reply.key end
    if kind ~= 'list' and kind ~= 'none' then return 'type ' .. kind .. ' ' .. reply.key end
    if reply.ends > 0 and reply.ends <= wall then return 'expired ' .. reply.key end
  end
end

-- An error's text, or nil.
local function push(reply, wall)
  local keep = reply.keep
  if reply.ends > 0 then
    local left = reply.ends - wall
    if keep == 0 or left < keep then keep = left end
  end
  local pushed = redis.pcall('LPUSH', reply.key, reply.body)
  if type(pushed) == 'table' and pushed.err then return pushed.err end
  local list = list_at(reply.key)
  if keep > list.keep then list.keep = keep end
end

-- Every push renews a list's expiry and none shortens it. A list that was there without an expiry gets none.
local function keep_lists()
  for key, list in pairs(lists) do
    local is_ours = list.left == -2 or list.left >= 0
    if list.keep > 0 and is_ours and list.keep > list.left then redis.call('PEXPIRE', key, whole(list.keep)) end
  end
end
