"""``canary.lua``: publish a node's canary, and leave a trace of it that lasts a while.

Returns 1 where there still was a trace of the one before, 0 where Redis has lost it. This Redis always takes writes.
"""

from vuemantics_ws.simulation.resp.replies import Reply
from vuemantics_ws.simulation.resp.scripts.call import Call


def canary(call: Call) -> Reply:
    (key,) = call.keys
    _, payload, lasts_s = call.arguments
    trace = call.keyspace.string(key)
    call.keyspace.put(key, b"")
    call.keyspace.expire(key, int(lasts_s) * 1000)
    call.publish(key, payload)
    return int(trace is not None)
