-- A node says that it is there, and learns who else is.
--
-- KEYS[1]  a hash: node id -> "<when it was heard, in milliseconds of Redis' time> <what it says of itself>"
-- ARGV[1]  its id
-- ARGV[2]  how long it counts as present, in milliseconds
-- ARGV[3]  what it says of itself
--
-- Returns of each present node: its id, for how many milliseconds it has not been heard, what it says. Who has not been heard
-- for too long is forgotten. Everything is in one key, so that this is one script in a Redis Cluster, too.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])

redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now, ARGV[3]))
redis.call('EXPIRE', KEYS[1], math.ceil(most / 1000))

local said = redis.call('HGETALL', KEYS[1])
local present = {}
for i = 1, #said, 2 do
  local heard, about = string.match(said[i + 1], '^(%d+) (.*)$')
  local age = heard and math.max(0, now - tonumber(heard)) or most
  if age < most then
    present[#present + 1] = said[i]
    present[#present + 1] = age
    present[#present + 1] = about
  else
    redis.call('HDEL', KEYS[1], said[i])
  end
end
return present
