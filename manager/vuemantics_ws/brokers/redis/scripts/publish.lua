-- Judge an event, and where it is accepted keep it and tell it, as one step.
--
-- ARGV: channel, PUBLISH or SPUBLISH, time to live in seconds, an incarnation for a first head, attempt and seq (0 for none),
-- flags, owner, digest, outcome, 1 for progress at stage queued (else 0), the published bytes.
-- Returns the verdict, the version of the head, how many were told, and whether somebody owns the upload (1 or 0).

local channel, publish, ttl_s = ARGV[1], ARGV[2], ARGV[3]
local event = {
    attempt = tonumber(ARGV[5]), seq = tonumber(ARGV[6]), flags = ARGV[7], owner = ARGV[8],
    digest = ARGV[9], outcome = ARGV[10], accepted_at = now_ms,
}
local head = read_head()
event.incarnation = head and head.incarnation or ARGV[4]
if not head then
    forget_all_digests()
end

local age_ms = head and now_ms - head.accepted_at or 0
local remembered = not has(event.flags, 'v') and remember(event.digest)
local verdict, attempt, seq = judge(head, event, age_ms, remembered, function() return ARGV[11] == '1' end)

local receivers = 0
if verdict == 'accepted' then
    event.attempt, event.seq = attempt, seq
    if event.owner == '' and head then
        event.owner = head.owner
    end
    local payload = has(event.flags, 'v') and ARGV[12] or with_version(ARGV[12], attempt, seq)
    keep(event, payload)
    receivers = redis.call(publish, channel, state_message(event, payload))
    head = event
end
renew(ttl_s)
return {verdict, integer(head.attempt), integer(head.seq), receivers, head.owner ~= '' and 1 or 0}
