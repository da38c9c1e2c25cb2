"""Which scripts there are, and what stands in the place of each."""

from collections.abc import Callable
from functools import cache

from vuemantics_ws.brokers.redis.commands import Script
from vuemantics_ws.simulation.resp.replies import Reply
from vuemantics_ws.simulation.resp.scripts.call import Call
from vuemantics_ws.simulation.resp.scripts.canary import canary
from vuemantics_ws.simulation.resp.scripts.presence import presence
from vuemantics_ws.simulation.resp.scripts.publish import publish
from vuemantics_ws.simulation.resp.scripts.read import read
from vuemantics_ws.simulation.resp.scripts.reconcile import reconcile
from vuemantics_ws.simulation.resp.scripts.renew import renew
from vuemantics_ws.simulation.resp.scripts.user import user

Run = Callable[[Call], Reply]


@cache
def runs() -> dict[bytes, Run]:
    """By the SHA-1 of the script."""
    return {
        Script("publish", after=["judge"]).sha.encode(): publish,
        Script("read", after=["judge"]).sha.encode(): read,
        Script("reconcile", after=["judge"]).sha.encode(): reconcile,
        Script("renew", after=["judge"]).sha.encode(): renew,
        Script("user").sha.encode(): user,
        Script("presence").sha.encode(): presence,
        Script("canary").sha.encode(): canary,
    }
