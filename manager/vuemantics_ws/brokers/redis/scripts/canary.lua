-- Publishes a node's canary, and leaves a trace of it that lasts a while.
--
-- KEYS[1]  the canary's channel, which is also what its trace is called: both lie in one slot of a Redis Cluster
-- ARGV[1]  PUBLISH, or SPUBLISH in a Redis Cluster
-- ARGV[2]  what is published
-- ARGV[3]  how long the trace lasts, in seconds
--
-- Returns 1 where there still was a trace of the one before, 0 where Redis has lost it. A Redis that takes no writes publishes
-- all the same, so that it is heard, and answers with its error.
local trace = redis.pcall('SET', KEYS[1], '', 'EX', ARGV[3], 'GET')
redis.call(ARGV[1], KEYS[1], ARGV[2])
if type(trace) == 'table' and trace.err then
    return trace
end
return trace and 1 or 0
