-- The judge of an upload, and how its head is kept and told. Stands in front of the scripts that use it.
--
-- KEYS[1] is the head, a hash: attempt, seq, flags, payload, owner, digest, outcome, accepted_at (milliseconds), incarnation.
-- KEYS[2] is a sorted set: the digests of events without a version that were judged, by when (microseconds).
-- Flags are letters: t terminal, v versioned, p presumed; - for none of them. What is not there is '-', an owner ''.
-- Numbers go through '%.0f', since Lua writes a large one as 1e+15.

local STRAGGLER_WINDOW_MS = 10000
local DIGESTS_KEPT, DIGESTS_KEPT_US, DIGESTS_MAX = 64, 60e6, 4096
local VERSION_NUMBER_MAX = 9007199254740991

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1e6 + tonumber(time[2])
local now_ms = math.floor(now_us / 1000)

local function integer(number)
    return string.format('%.0f', number)
end

local function has(flags, letter)
    return string.find(flags, letter, 1, true) ~= nil
end

-- Without its payload, which is long and which the judge does not look at.
local function read_head()
    local fields = redis.call('HMGET', KEYS[1],
        'attempt', 'seq', 'flags', 'owner', 'digest', 'outcome', 'accepted_at', 'incarnation')
    if not fields[1] then
        return nil
    end
    return {
        attempt = tonumber(fields[1]), seq = tonumber(fields[2]), flags = fields[3], owner = fields[4], digest = fields[5],
        outcome = fields[6], accepted_at = tonumber(fields[7]), incarnation = fields[8],
    }
end

local function is_above(attempt, seq, head)
    return attempt > head.attempt or (attempt == head.attempt and seq > head.seq)
end

-- The table of versions and verdicts, as vuemantics_ws.core.upload has it. Returns the verdict, then the version that it was
-- accepted with. is_queued is a function: finding out may take reading the payload, and is rarely needed.
local function judge(head, event, age_ms, remembered, is_queued)
    if has(event.flags, 'v') then
        if not head then
            return 'accepted', event.attempt, event.seq
        end
        if not is_above(event.attempt, event.seq, head) then
            local equal = event.attempt == head.attempt and event.seq == head.seq and event.digest == head.digest
            return equal and 'duplicate' or 'stale'
        end
        if has(head.flags, 't') and event.attempt == head.attempt then
            return 'after_terminal'
        end
        return 'accepted', event.attempt, event.seq
    end
    if remembered then
        return 'duplicate'
    end
    if not head then
        return 'accepted', 1, 1
    end
    local attempt, seq = head.attempt, head.seq + 1
    if has(head.flags, 't') then
        local terminal = has(event.flags, 't')
        if terminal and event.outcome == head.outcome then
            return 'duplicate'
        end
        if not (terminal or has(head.flags, 'p') or age_ms >= STRAGGLER_WINDOW_MS or is_queued()) then
            return 'after_terminal'
        end
        attempt, seq = attempt + 1, 1
    end
    if attempt > VERSION_NUMBER_MAX or seq > VERSION_NUMBER_MAX then
        return 'stale'
    end
    return 'accepted', attempt, seq
end

local function forget_old_digests()
    local count = redis.call('ZCARD', KEYS[2])
    if count <= DIGESTS_KEPT then
        return
    end
    local old = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. integer(now_us - DIGESTS_KEPT_US))
    local excess = math.min(count - DIGESTS_KEPT, math.max(count - DIGESTS_MAX, old))
    if excess > 0 then
        redis.call('ZREMRANGEBYRANK', KEYS[2], 0, excess - 1)
    end
end

-- They belong to a head, which may have been evicted before them. Only where there are any: once a script has written, Redis does
-- not refuse it for want of memory any more.
local function forget_all_digests()
    if redis.call('EXISTS', KEYS[2]) == 1 then
        redis.call('DEL', KEYS[2])
    end
end

-- Returns whether the digest was known; from now on it is. Scores only grow, so that two of one microsecond keep their order.
local function remember(digest)
    forget_old_digests()
    local newest = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
    local score = now_us
    if newest[2] and tonumber(newest[2]) >= score then
        score = tonumber(newest[2]) + 1
    end
    local known = redis.call('ZADD', KEYS[2], integer(score), digest) == 0
    forget_old_digests()
    return known
end

local function version_text(attempt, seq)
    return '"attempt":' .. integer(attempt) .. ',"seq":' .. integer(seq) .. ','
end

local function with_version(published, attempt, seq)
    local start = string.find(published, '{', 1, true)
    return string.sub(published, 1, start) .. version_text(attempt, seq) .. string.sub(published, start + 1)
end

-- The inverse, for what was given this version here or by another process.
local function without_version(payload, attempt, seq)
    local start = string.find(payload, '{', 1, true)
    return string.sub(payload, 1, start) .. string.sub(payload, start + 1 + #version_text(attempt, seq))
end

-- What is told on the channel, and what is answered to whoever reads: a header line, then what leaves for browsers.
local function state_message(head, payload)
    return integer(head.attempt) .. ' ' .. integer(head.seq) .. ' ' .. head.flags .. ' ' .. head.incarnation .. ' ' ..
        integer(math.max(now_ms - head.accepted_at, 0)) .. ' ' .. head.digest .. ' ' .. head.outcome .. ' ' .. head.owner ..
        '\n' .. payload
end

-- Both keys live as long as each other.
local function renew(ttl_s)
    redis.call('EXPIRE', KEYS[2], ttl_s)
    return redis.call('EXPIRE', KEYS[1], ttl_s)
end

local function keep(head, payload)
    redis.call('HSET', KEYS[1], 'attempt', integer(head.attempt), 'seq', integer(head.seq), 'flags', head.flags,
        'payload', payload, 'owner', head.owner, 'digest', head.digest, 'outcome', head.outcome,
        'accepted_at', integer(head.accepted_at), 'incarnation', head.incarnation)
end
