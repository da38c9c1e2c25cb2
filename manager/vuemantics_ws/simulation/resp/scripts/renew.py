"""``renew.lua``: keep the head for another time to live."""

from vuemantics_ws.simulation.resp.replies import Reply
from vuemantics_ws.simulation.resp.scripts import judge
from vuemantics_ws.simulation.resp.scripts.call import Call


def renew(call: Call) -> Reply:
    (ttl_s,) = call.arguments
    return judge.renew(call, int(ttl_s))
