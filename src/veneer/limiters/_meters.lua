-- The meters of RedisLimiter, on the server's time or, for tests, on that which ARGV[3] gives. They
-- count as their models in Python do: see bucket.py, ring.py and slots.py. A quota is a table of
-- `kind`, `limit`, `window` and `rate`, as callers have it: that of one key may differ.

local TOLERANCE = 1e-6
local RING = 60
-- Seconds that a client waits for a slot: nobody knows when a call ends.
local RETRY = 1
-- Milliseconds: a counter stays a second longer than it is needed, and ten years at most.
local SPARE, LONGEST = 1000, 315360000000

local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function milliseconds(seconds)
  return string.format('%.0f', math.min(math.ceil(math.max(seconds, 0) * 1000) + SPARE, LONGEST))
end

local Bucket = {}
Bucket.__index = Bucket

function Bucket.load(key)
  local self = setmetatable({key = key}, Bucket)
  local text = redis.call('GET', key)
  if text then
    self.used, self.held, self.since, self.thinned, self.at = struct.unpack('<ddddd', text)
  else
    self.used, self.held, self.since, self.thinned, self.at = 0, 0, 0, 0, now
  end
  return self
end

function Bucket:drain(quota)
  if now <= self.at then return end
  local left = self.used - (now - self.at) * quota.rate
  self.at = now
  if left >= 0 then
    self.used = left
    return
  end
  local held = self.held
  self.used = 0
  if held + left > 0 then
    self.held = held + left
    self.thinned = self.thinned + math.log(held / self.held)
  else
    self.held = 0
  end
end

function Bucket:level()
  return self.used + self.held
end

function Bucket:put_in(quota, units)
  if self.held == 0 then
    self.since, self.thinned = self.at, 0
  end
  self.held = self.held + units
  return self.since, self.thinned
end

function Bucket:settle(since, thinned, taken, used)
  local standing = 0
  if since == self.since then
    standing = math.min(self.held, taken * math.exp(thinned - self.thinned))
    self.held = self.held - standing
  end
  self.used = self.used + math.max(0, standing + used - taken)
end

function Bucket:wait(level, quota, cost)
  if cost > quota.limit then return math.huge end
  local over = level + cost - quota.limit
  return over > TOLERANCE and over / quota.rate or 0
end

function Bucket:reset(level, quota)
  return level > 0 and level / quota.rate or 0
end

function Bucket:save(quota)
  local text = struct.pack('<ddddd', self.used, self.held, self.since, self.thinned, self.at)
  local lasts = self.at - now + self:reset(self:level(), quota)
  redis.call('SET', self.key, text, 'PX', milliseconds(lasts))
end

local Ring = {}
Ring.__index = Ring

-- `born` tells a ring from one of the same name that the server has lost: its marks are not ours.
function Ring.load(key, quota)
  local self = setmetatable({key = key, width = quota.window / (RING - 1)}, Ring)
  local text = redis.call('GET', key)
  if text then
    self.born, self.at, self.first, self.units = unpack(cmsgpack.unpack(text))
  else
    self.born, self.at, self.first, self.units = now, now, 0, {}
  end
  self.at = math.max(self.at, now)
  -- The quotient as Python's // rounds it.
  self.slot = math.floor((self.at - math.fmod(self.at, self.width)) / self.width + 0.5)
  return self
end

function Ring:drain()
  local gone = self.slot - self.first - RING + 1
  if gone <= 0 then return end
  local units = {}
  for index = gone + 1, #self.units do
    units[#units + 1] = self.units[index]
  end
  self.units, self.first = units, self.first + gone
end

function Ring:level()
  local total = 0
  for _, units in ipairs(self.units) do
    total = total + units
  end
  return total
end

function Ring:put_in(quota, units)
  if #self.units == 0 then
    self.first = self.slot
  end
  local index = self.slot - self.first + 1
  while #self.units < index do
    self.units[#self.units + 1] = 0
  end
  self.units[index] = self.units[index] + units
  return self.slot, self.born
end

function Ring:settle(slot, born, taken, used)
  local index = slot - self.first + 1
  if used > taken then
    self:put_in(nil, used - taken)
  elseif born == self.born and self.units[index] then
    self.units[index] = self.units[index] - (taken - used)
  end
end

function Ring:until_left(index)
  return math.max(0, (self.first + index - 1 + RING) * self.width - self.at)
end

function Ring:wait(level, quota, cost)
  if cost > quota.limit then return math.huge end
  local over = level + cost - quota.limit
  if over <= TOLERANCE then return 0 end
  local last = 1
  for index, units in ipairs(self.units) do
    last = index
    over = over - units
    if over <= TOLERANCE then break end
  end
  return self:until_left(last)
end

function Ring:reset(level)
  if level <= TOLERANCE then return 0 end
  local index = #self.units
  while index > 1 and self.units[index] == 0 do
    index = index - 1
  end
  return self:until_left(index)
end

function Ring:save()
  local text = cmsgpack.pack({self.born, self.at, self.first, self.units})
  local lasts = self.at - now + self:until_left(#self.units)
  redis.call('SET', self.key, text, 'PX', milliseconds(lasts))
end

-- Slots are leases: a sorted set of calls by the times at which the server frees them.

local Slots = {}
Slots.__index = Slots

-- How many members ZADD is given at once: Lua can pass some thousand arguments.
local AT_ONCE = 1000

function Slots.load(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return setmetatable({key = key, running = redis.call('ZCARD', key), held = {}}, Slots)
end

function Slots:drain() end

function Slots:level()
  return self.running
end

function Slots:hold(member)
  self.held[#self.held + 1] = member
end

function Slots:put_in(quota, units, call)
  for number = 1, units do
    self:hold(call .. '/' .. number)
  end
  self.running = self.running + units
  return 0, 0
end

-- A lease that has run out, or was lost with the server's memory, is taken anew if there is room.
function Slots:renew(quota, units, call)
  for number = 1, units do
    local member = call .. '/' .. number
    if redis.call('ZSCORE', self.key, member) then
      self:hold(member)
    elseif self.running < quota.limit then
      self:hold(member)
      self.running = self.running + 1
    end
  end
end

function Slots:wait(level, quota, cost)
  if cost > quota.limit then return math.huge end
  return level + cost > quota.limit and RETRY or 0
end

function Slots:reset()
  return 0
end

function Slots:save(_, lease)
  for first = 1, #self.held, AT_ONCE do
    local entries = {}
    for index = first, math.min(first + AT_ONCE - 1, #self.held) do
      entries[#entries + 1] = now + lease
      entries[#entries + 1] = self.held[index]
    end
    redis.call('ZADD', self.key, unpack(entries))
  end
  local lasts = milliseconds(lease)
  if redis.call('PTTL', self.key) < tonumber(lasts) then
    redis.call('PEXPIRE', self.key, lasts)
  end
end
