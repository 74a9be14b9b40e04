-- What RedisLimiter has the server do, in one step: `take` and `settle`. Comes after _meters.lua.
--
-- ARGV[1] says which, ARGV[2] is its MessagePack document. A quota there is {kind, limit, window};
-- others name it, and a key, by its place. What is read is kept until the end, and then written:
-- what fails in between has changed nothing.

-- Milliseconds for which the server knows what a process has had it settle.
local REMEMBERED = 86400000

local METERS = {bucket = Bucket, ring = Ring, slots = Slots}
local NO_MARK = {0, 0}

local document = cmsgpack.unpack(ARGV[2])
local lease = document.lease

local quotas = {}
for place, quota in ipairs(document.quotas) do
  local kind, limit, window = unpack(quota)
  -- What stands in a quota of nothing, from before it became one, has to flow out as well.
  local rate = math.max(1, limit) / window
  quotas[place] = {kind = kind, limit = limit, window = window, rate = rate}
end

local loaded, changed = {}, {}

local function meter_of(quota, place)
  local meter = loaded[place]
  if not meter then
    meter = METERS[quota.kind].load(KEYS[place], quota)
    meter:drain(quota)
    loaded[place] = meter
  end
  return meter
end

-- {call, {{quota, key, cost, whether of requests}, ...}}. The judgement is that of decide.py.
-- For each charge the reply has level, wait (0 where it fits), reset, and the mark's two numbers.
local function take(call, charges, reply)
  local meters, levels, waits, marks = {}, {}, {}, {}
  for index, charge in ipairs(charges) do
    local meter = meter_of(quotas[charge[1]], charge[2])
    meters[index], levels[index] = meter, meter:level()
  end
  for _, of_requests in ipairs({true, false}) do
    local admitted, refused = {}, false
    for index, charge in ipairs(charges) do
      if charge[3] > 0 and charge[4] == of_requests then
        waits[index] = meters[index]:wait(levels[index], quotas[charge[1]], charge[3])
        refused = refused or waits[index] > 0
        admitted[#admitted + 1] = index
      end
    end
    if refused then break end
    for _, index in ipairs(admitted) do
      local quota, cost = quotas[charges[index][1]], charges[index][3]
      marks[index] = {meters[index]:put_in(quota, cost, call)}
      levels[index] = levels[index] + cost
      changed[meters[index]] = quota
    end
  end
  for index, meter in ipairs(meters) do
    local level, mark = levels[index], marks[index] or NO_MARK
    local reset = meter:reset(level, quotas[charges[index][1]])
    reply[#reply + 1] = struct.pack('<ddddd', level, waits[index] or 0, reset, mark[1], mark[2])
  end
end

local operations = {}

-- `takes`, one after the other.
function operations.take()
  local reply = {}
  for _, asked in ipairs(document.takes) do
    take(asked[1], asked[2], reply)
  end
  return table.concat(reply)
end

-- {quota, key, taken, mark's two, used}
local function settle(part)
  local quota = quotas[part[1]]
  local meter = meter_of(quota, part[2])
  meter:settle(part[4], part[5], part[3], part[6])
  changed[meter] = quota
end

-- {quota, key, slots, call}
local function renew(part)
  local quota = quotas[part[1]]
  local meter = meter_of(quota, part[2])
  meter:renew(quota, part[3], part[4])
  changed[meter] = quota
end

-- {key, slots, call}
local function free(part)
  for number = 1, part[2] do
    redis.call('ZREM', KEYS[part[1]], part[3] .. '/' .. number)
  end
end

-- KEYS[1] holds the number of the process's last settlement. One that comes a second time, or after
-- a later one, does nothing. The number is noted first, and what fails is passed by and told: it
-- neither stays in the way of the others nor is done twice.
function operations.settle()
  if document.number <= tonumber(redis.call('GET', KEYS[1]) or 0) then return 'known' end
  redis.call('SET', KEYS[1], string.format('%.0f', document.number), 'PX', REMEMBERED)
  local failure
  for _, deed in ipairs({{free, document.freed}, {settle, document.settled},
    {renew, document.renewed}}) do
    for _, part in ipairs(deed[2]) do
      local done, problem = pcall(deed[1], part)
      failure = failure or (not done and problem)
    end
  end
  return 'done', failure
end

local reply, failure = operations[ARGV[1]]()
for meter, quota in pairs(changed) do
  meter:save(quota, lease)
end
if failure then error(failure) end
return reply
