"""A whole gateway in the test's own loop, with real sockets."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests import events
from tests.gateway.chromium import ORIGIN
from vuemantics_ws.ambient import Clock, SystemClock
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings

SECRET = "thirty-two bytes that only tests know of"


@asynccontextmanager
async def gateway(*, clock: Clock | None = None, broker: Broker | None = None, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway that is ready, stopped at once when the block ends."""
    given = {"port": 0, "control_port": 0, "secret": SECRET, "access": "open", "origins": (ORIGIN,), "drain_s": 0.0, **settings}
    clock = clock or SystemClock()
    made = Settings(**given)
    node = Gateway(
        made,
        secret=made.secret or SECRET,
        broker=broker or MemoryBroker(clock=clock, limits=made),
        clock=clock,
        dice=random.Random(1),
    )
    await node.start()
    at_once = asyncio.Event()
    try:
        yield node
    finally:
        at_once.set()
        await node.stop(at_once=at_once)


class Client:
    """A client of the library's, with the protocol's words."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        """The next message that is no ping."""
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            if message["action"] != "ping":
                return message

    async def subscribe(self, upload_id: str) -> dict[str, Any]:
        await self.send(action="subscribe_upload", upload_id=upload_id)
        return await self.next()

    async def rest(self) -> list[dict[str, Any]]:
        """Everything until the server closes."""
        messages: list[dict[str, Any]] = []
        with suppress(ConnectionClosed):
            while True:
                messages.append(json.loads(await self.socket.recv()))
        return messages

    async def close_code(self) -> int | None:
        """How the server closes; what it says before is dropped."""
        await self.rest()
        return self.socket.close_code


@asynccontextmanager
async def client(node: Gateway, **options: Any) -> AsyncIterator[Client]:
    """Connected, not authenticated."""
    url = f"ws://127.0.0.1:{node.address[1]}/ws/uploads"
    async with connect(url, proxy=None, compression=None, **options) as socket:
        yield Client(socket)


@asynccontextmanager
async def browser(node: Gateway, user_id: str, **options: Any) -> AsyncIterator[Client]:
    """Connected and authenticated."""
    async with client(node, **options) as joined:
        await joined.send(type="auth", token=node.authenticator.mint(user_id, 60.0))
        assert await joined.next() == {"action": "auth_success", "user_id": user_id}
        yield joined


def event(upload_id: str, percent: int = 0, *, stage: str = "vision_analysis", **more: Any) -> bytes:
    """Progress of one upload among several."""
    return events.progress(stage, upload_id=upload_id, percent=percent, text="working", **more)


def completed(upload_id: str, **more: Any) -> bytes:
    """Its end."""
    return events.completed(upload_id=upload_id, **more)
