-- Give Redis the head that a process knows, after either may have missed something.
--
-- ARGV: channel, PUBLISH or SPUBLISH, time to live in seconds, an incarnation for a first head, attempt, seq, flags, owner,
-- digest, outcome, age in milliseconds, and the bytes that leave for browsers.
-- Returns what is stored after it, as it is told.
--
-- 1. Nothing is stored: ours is, under the new incarnation, and is told.
-- 2. What is stored is above ours, or equal with the same bytes: it stays. If nobody owns it and somebody owns ours, it gets
--    our owner and is told again.
-- 3. Else two histories met. The stored event is judged anew against our head, as if it had come when it came, which is
--    before the heads were joined: one with a version by it, one without as such, and no digest counts, since its own would.
--    a. Refused (stale, straggler, the same end): ours is stored in its place.
--    b. Accepted: it stays, with the version that it got.
--    The winner keeps the time at which it was accepted; the owner is the stored one's if it has one, else ours; the
--    incarnation stays. It is told.
-- Digests: ours joins those that are remembered, whoever wins, so that the event is a duplicate when it comes again. Those
-- that were remembered stay.
--
-- Versions that are stored never fall: in 2 and 3 the version grows, or stays with other bytes.

local channel, publish, ttl_s = ARGV[1], ARGV[2], ARGV[3]
local ours = {
    attempt = tonumber(ARGV[5]), seq = tonumber(ARGV[6]), flags = ARGV[7], owner = ARGV[8], digest = ARGV[9],
    outcome = ARGV[10], accepted_at = now_ms - tonumber(ARGV[11]), incarnation = ARGV[4],
}
local stored = read_head()

local function settle(head, payload)
    keep(head, payload)
    if not has(ours.flags, 'v') then
        remember(ours.digest)
    end
    renew(ttl_s)
    local message = state_message(head, payload)
    redis.call(publish, channel, message)
    return message
end

if not stored then
    redis.call('DEL', KEYS[2])
    return settle(ours, ARGV[12])
end

local payload = redis.call('HGET', KEYS[1], 'payload')
local equal = stored.attempt == ours.attempt and stored.seq == ours.seq
if is_above(stored.attempt, stored.seq, ours) or (equal and stored.digest == ours.digest) then
    if stored.owner == '' and ours.owner ~= '' then
        stored.owner = ours.owner
        return settle(stored, payload)
    end
    return state_message(stored, payload)
end

local function is_queued()
    local read, event = pcall(cjson.decode, payload)
    return read and type(event.payload) == 'table' and event.payload.stage == 'queued'
end

local verdict, attempt, seq = judge(ours, stored, stored.accepted_at - ours.accepted_at, false, is_queued)
if verdict == 'accepted' then
    if not has(stored.flags, 'v') then
        payload = with_version(without_version(payload, stored.attempt, stored.seq), attempt, seq)
    end
    stored.attempt, stored.seq = attempt, seq
    stored.owner = stored.owner ~= '' and stored.owner or ours.owner
    return settle(stored, payload)
end
ours.owner = stored.owner ~= '' and stored.owner or ours.owner
ours.incarnation = stored.incarnation
return settle(ours, ARGV[12])
