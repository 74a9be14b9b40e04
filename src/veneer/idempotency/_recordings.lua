-- What RedisRecordingStore has the server do, each in one step; ARGV[1] says which.
--
-- KEYS[1] is an entry, a hash: `fingerprint` and `token` are those of its claim; `answer` (status
-- and fields) and `body` are there once it was answered, and both empty where the answer was too
-- large. It expires with its lease, or the time for which it is kept: so says the server's clock.

-- Milliseconds for which the last token is known: it matters where the clock goes back.
local REMEMBERED = 86400000

-- The server's time in microseconds, which goes on where the server has lost everything; and above
-- all before, which is in KEYS[2].
local function new_token()
  local time = redis.call('TIME')
  local last = tonumber(redis.call('GET', KEYS[2]) or 0)
  local token = string.format('%.0f', math.max(time[1] * 1e6 + time[2], last + 1))
  redis.call('SET', KEYS[2], token, 'PX', REMEMBERED)
  return token
end

-- Three strings where it was answered, or two: the fingerprint, and what is left of the lease.
local function there()
  local found = redis.call('HMGET', KEYS[1], 'fingerprint', 'answer', 'body')
  if found[2] then return found end
  return found[1] and {found[1], redis.call('PTTL', KEYS[1])}
end

local function is_held(token)
  local found = redis.call('HMGET', KEYS[1], 'token', 'answer')
  return found[1] == token and not found[2], found[1] == token
end

local operations = {}

function operations.look()
  return there()
end

function operations.claim(fingerprint, lease)
  local found = there()
  if found then return found end
  local token = new_token()
  redis.call('HSET', KEYS[1], 'fingerprint', fingerprint, 'token', token)
  redis.call('PEXPIRE', KEYS[1], lease)
  return token
end

function operations.renew(token, lease)
  return is_held(token) and redis.call('PEXPIRE', KEYS[1], lease)
end

-- Who repeats it has held it.
function operations.commit(token, ttl, answer, body)
  local held, theirs = is_held(token)
  if held then
    redis.call('HSET', KEYS[1], 'answer', answer, 'body', body)
    redis.call('PEXPIRE', KEYS[1], ttl)
  end
  return theirs and 1
end

function operations.release(token)
  return is_held(token) and redis.call('DEL', KEYS[1])
end

return operations[ARGV[1]](unpack(ARGV, 2))
