-- What one user follows, as all nodes share it. In one step: do a node's changes, take over how the user stands there, and
-- answer with the whole.
--
-- KEYS  the hash: upload to the ids of the nodes that hold it, with a blank between; and its revision, which each change of what
--       is followed makes greater
-- ARGV  the channel on which changes are told, PUBLISH or SPUBLISH, our node's id, a random id, how long the hash lives in
--       milliseconds, how many follows it may have, 1 or 0: whether a connection is open on our node, the revision that our
--       node knows, how many nodes are present, their ids; then pairs of a verb and an upload:
--       +  the user follows it
--       -  our node gave it up: the follow ends unless another node that is present holds it
--       x  the follow ends, whoever holds it
--       .  our connections have given it up, so we do not hold it
--
-- Answers with the id that the hash was born with ("" where there is none), its revision, then the uploads. A hash that was lost
-- comes back with another id, and keeps its id when the last follow ends: so "forgotten by Redis" and "ended by somebody" differ.
-- A hash whose revision is below the one that a node knows is what a replica had that was behind when it took over: it is born
-- anew, so that every node tells again what it lacks.
local revision_key = KEYS[2]
local key, channel, publish, node, random_id = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl_ms, follows_max, is_connected = ARGV[5], tonumber(ARGV[6]), ARGV[7] == '1'
local known = tonumber(ARGV[8])
local first_pair = 10 + tonumber(ARGV[9])
local BORN = '\255'  -- no upload's id: it is no UTF-8
local HOLDERS_MAX = 8  -- more than that are nodes that went without a word

local born, holders, count = '', {}, 0
local stored = redis.call('HGETALL', key)
for at = 1, #stored, 2 do
  if stored[at] == BORN then
    born = stored[at + 1]
  else
    holders[stored[at]] = stored[at + 1]
    count = count + 1
  end
end

local present = {}
for at = 10, first_pair - 1 do present[ARGV[at]] = true end

-- The others among the holders of an upload: all of them, and those who are present.
local function others(value)
  local all, here = {}, {}
  for id in string.gmatch(value, '%S+') do
    if id ~= node then
      all[#all + 1] = id
      if present[id] then here[#here + 1] = id end
    end
  end
  return all, here
end

local is_news, is_written, given_up = false, false, {}
local revision = tonumber(redis.call('GET', revision_key) or '0')
if revision < known then
  if born ~= '' then
    redis.call('HSET', key, BORN, random_id)
    born, is_news, is_written = random_id, true, true
  end
  revision = known
end

for at = first_pair, #ARGV, 2 do
  local verb, upload = ARGV[at], ARGV[at + 1]
  local value = holders[upload]
  if verb == '.' then
    given_up[upload] = true
  elseif verb == '+' then
    is_written = true
    if not value and count < follows_max then
      holders[upload], count, is_news = '', count + 1, true
      redis.call('HSET', key, upload, '')
    end
  elseif value then
    local _, here = others(value)
    if verb == 'x' or #here == 0 then
      holders[upload], count, is_news, is_written = nil, count - 1, true, true
      redis.call('HDEL', key, upload)
    end
  end
end

local answer = {born, 0}
for upload, value in pairs(holders) do
  answer[#answer + 1] = upload
  local holds = is_connected and not given_up[upload]
  local is_ours = string.find(value, node, 1, true) ~= nil  -- all ids are equally long
  if holds ~= is_ours then
    local all, here = others(value)
    local ids = #all < HOLDERS_MAX and all or here
    if holds then ids[#ids + 1] = node end
    redis.call('HSET', key, upload, table.concat(ids, ' '))
    is_written = true
  end
end

if born == '' and count > 0 then
  redis.call('HSET', key, BORN, random_id)
  answer[1] = random_id
end
if is_news then
  revision = revision + 1
  redis.call('SET', revision_key, revision, 'PX', ttl_ms)
end
answer[2] = revision
-- Whoever is connected keeps it, and so does every subscribe and every change.
if is_connected or is_written then
  redis.call('PEXPIRE', key, ttl_ms)
  redis.call('PEXPIRE', revision_key, ttl_ms)
end
if is_news then redis.call(publish, channel, 'changed ' .. node) end
return answer
