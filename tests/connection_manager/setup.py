"""What nearly every test of a manager with a broker begins with."""

from typing import Any

from tests.connection_manager.loops import LoopClock
from tests.connection_manager.sockets import TextSocket
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.limits import Limits


def managed(limits: Limits | None = None, **options: Any) -> ConnectionManager:
    """A manager with a memory broker, both by the loop's own clock."""
    clock = LoopClock()
    return ConnectionManager(broker=MemoryBroker(clock=clock, limits=limits), clock=clock, limits=limits, **options)


async def connected(manager: ConnectionManager, user_id: str = "alice") -> TextSocket:
    socket = TextSocket()
    await manager.connect(user_id, socket)
    return socket
