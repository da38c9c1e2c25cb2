"""``read.lua``: the newest state, as it was told; nothing where there is none."""

from vuemantics_ws.simulation.resp.replies import Reply
from vuemantics_ws.simulation.resp.scripts.call import Call
from vuemantics_ws.simulation.resp.scripts.judge import read_head, state_message


def read(call: Call) -> Reply:
    head = read_head(call)
    return state_message(call, head, call.keyspace.hash(call.keys[0])[b"payload"]) if head is not None else None
