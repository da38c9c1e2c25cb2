-- Give Redis the head that a process knows, after either may have missed something.
--
-- ARGV: channel, PUBLISH or SPUBLISH, time to live in seconds, an incarnation for a first head, attempt, seq, flags, owner,
-- digest, outcome, age in milliseconds, the bytes that leave for browsers, and the incarnation under which it was known.
-- Returns what is stored after it, as it is told.
--
-- 1. Nothing is stored: ours is, under the new incarnation, and is told.
-- 2. What is stored is above ours, or equal with the same bytes: it stays. If nobody owns it and somebody owns ours, it gets
--    our owner and is told again. But one without a version of its own is not above an end of its attempt: it was numbered by
--    a judge that did not know the end, and whoever knows it takes nothing more of that attempt.
-- 3. What is stored is below ours, under the incarnation that we know, and was accepted no later than ours: it is our own past,
--    as a replica has it that took the place of a master before it had got all, or a Redis that starts with what it last saved.
--    Ours takes its place as it was, with our owner if it has one.
-- 4. Else two histories met. The stored event is judged anew against our head, with its age as it was when the event came:
--    by its own version, or as one without. No digest counts, since its own would.
--    a. Accepted: it stays, with the version that it got.
--    b. The same end once more, not below ours: it stays.
--    c. Refused: ours is stored in its place. If ours is not above it, others may have been told it under a version under
--       which they take nothing else: then ours gets the seq after its, unless it named its version itself.
--    The winner keeps the time at which it was accepted; the owner is the stored one's if it has one, else ours; the
--    incarnation stays. Unless nothing changed, it is told.
-- Digests: whenever something is stored, ours joins those that are remembered, so that the event is a duplicate when it comes
-- again. Those that were remembered stay.
--
-- What is stored never falls in version. Only where one event names its version and another gets the same one, or two name one,
-- may a version be stored with other bytes than before.

-- The clocks of two servers differ by less; and what comes after the one has died comes later than that.
local CLOCKS_DIFFER_MS = 100

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
    forget_all_digests()
    return settle(ours, ARGV[12])
end

local payload = redis.call('HGET', KEYS[1], 'payload')
local above = is_above(stored.attempt, stored.seq, ours)
local equal = stored.attempt == ours.attempt and stored.seq == ours.seq

local function stay()
    if stored.owner == '' and ours.owner ~= '' then
        stored.owner = ours.owner
        return settle(stored, payload)
    end
    return state_message(stored, payload)
end

local ended = has(ours.flags, 't') and stored.attempt == ours.attempt and not has(stored.flags, 'v') and not has(ours.flags, 'v')
if (above and not ended) or (equal and stored.digest == ours.digest) then
    return stay()
end

local age_ms = stored.accepted_at - ours.accepted_at
if not above and not equal and stored.incarnation == ARGV[13] and age_ms <= CLOCKS_DIFFER_MS then
    ours.owner = ours.owner ~= '' and ours.owner or stored.owner
    ours.incarnation = stored.incarnation
    return settle(ours, ARGV[12])
end

local function is_queued()
    local read, event = pcall(cjson.decode, payload)
    return read and type(event.payload) == 'table' and event.payload.stage == 'queued'
end

local verdict, attempt, seq = judge(ours, stored, age_ms, false, is_queued)
if verdict == 'accepted' then
    if not has(stored.flags, 'v') then
        payload = with_version(without_version(payload, stored.attempt, stored.seq), attempt, seq)
    end
    stored.attempt, stored.seq = attempt, seq
    stored.owner = stored.owner ~= '' and stored.owner or ours.owner
    return settle(stored, payload)
end
if verdict == 'duplicate' and (above or equal) then
    return stay()
end
ours.owner = stored.owner ~= '' and stored.owner or ours.owner
ours.incarnation = stored.incarnation
payload = ARGV[12]
if (above or equal) and not has(ours.flags, 'v') and stored.seq < VERSION_NUMBER_MAX then
    payload = with_version(without_version(payload, ours.attempt, ours.seq), ours.attempt, stored.seq + 1)
    ours.seq = stored.seq + 1
end
return settle(ours, payload)
