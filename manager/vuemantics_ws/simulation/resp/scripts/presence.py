"""``presence.lua``: a node says that it is there, and learns who else is."""

import math

from vuemantics_ws.simulation.resp.replies import Reply
from vuemantics_ws.simulation.resp.scripts.call import Call


def presence(call: Call) -> Reply:
    (key,) = call.keys
    node_id, most_ms, about = call.arguments
    now, most = call.keyspace.now_ms, int(most_ms)

    said = {**call.keyspace.hash(key), node_id: b"%d %b" % (now, about)}

    present: list[Reply] = []
    for other, heard_and_about in list(said.items()):
        heard, _, about = heard_and_about.partition(b" ")
        age = max(0, now - int(heard))
        if age < most:
            present += [other, age, about]
        else:
            del said[other]
    call.keyspace.put(key, said)
    call.keyspace.expire(key, math.ceil(most / 1000) * 1000)
    return present
