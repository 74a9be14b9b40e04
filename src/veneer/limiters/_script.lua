-- What RedisLimiter has the server do, in one step: `take` and `settle`. Comes after _meters.lua.
--
-- ARGV[1] says which, ARGV[2] is its MessagePack document. Numbers in replies are text: Redis cuts
-- those of Lua off to integers.

-- Milliseconds for which the server knows what a process has had it settle.
local REMEMBERED = 86400000

local METERS = {bucket = Bucket, ring = Ring, slots = Slots}

-- {call, lease, {{kind, limit, window, cost, whether of requests}, ...}}, and a key for each.
-- The reply has five numbers for each: level, wait (0 where it fits), reset, and the mark's two.
-- The judgement is that of decide.py.
local function take(document)
  local call, lease, charges = unpack(document)
  local loaded, meters, levels, waits, marks = {}, {}, {}, {}, {}
  for index, charge in ipairs(charges) do
    local key = KEYS[index]
    loaded[key] = loaded[key] or METERS[charge[1]].load(key, charge[2], charge[3])
    meters[index] = loaded[key]
    levels[index], waits[index], marks[index] = meters[index]:level(), 0, {0, 0}
  end
  for _, of_requests in ipairs({true, false}) do
    local admitted, refused = {}, false
    for index, charge in ipairs(charges) do
      if charge[4] > 0 and charge[5] == of_requests then
        waits[index] = meters[index]:wait(levels[index], charge[4])
        refused = refused or waits[index] > 0
        admitted[#admitted + 1] = index
      end
    end
    if refused then break end
    for _, index in ipairs(admitted) do
      local cost = charges[index][4]
      marks[index] = {meters[index]:put_in(cost, call, lease)}
      levels[index] = levels[index] + cost
      meters[index]:save()
    end
  end
  local reply = {}
  for index, meter in ipairs(meters) do
    reply[index] = string.format('%.17g %.17g %.17g %.17g %.17g', levels[index], waits[index],
      meter:reset(levels[index]), marks[index][1], marks[index][2])
  end
  return table.concat(reply, ' ')
end

-- {number, lease, settled, renewed}; KEYS[1] holds the number of the process's last settlement.
-- One that comes a second time, or after a later one, does nothing. The number is noted first: what
-- fails on the way is not done twice.
-- settled: {key, kind, limit, window, taken, mark's two, used}, or {key, 'slots', call, taken}
-- renewed: {key, limit, call, taken}, where a key is its place among KEYS
local function settle(document)
  local number, lease, settled, renewed = unpack(document)
  if number <= tonumber(redis.call('GET', KEYS[1]) or 0) then return 'known' end
  redis.call('SET', KEYS[1], string.format('%.0f', number), 'PX', REMEMBERED)
  for _, part in ipairs(settled) do
    local key = KEYS[part[1]]
    if part[2] == 'slots' then
      Slots.free({key = key}, part[3], part[4])
    else
      local meter = METERS[part[2]].load(key, part[3], part[4])
      meter:settle(part[6], part[7], part[5], part[8])
      meter:save()
    end
  end
  for _, part in ipairs(renewed) do
    Slots.load(KEYS[part[1]], part[2]):renew(part[3], part[4], lease)
  end
  return 'done'
end

local document = cmsgpack.unpack(ARGV[2])
if ARGV[1] == 'take' then return take(document) end
return settle(document)
