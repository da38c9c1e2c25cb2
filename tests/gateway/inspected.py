"""A node that is looked at: its control port with a client, and a peer that reads nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from tests.gateway.controlled import served
from tests.gateway.nodes import event, gateway
from tests.gateway.raw_client import RawClient, frame, raw_client
from vuemantics_ws.client.control import Control
from vuemantics_ws.gateway.control import create_control_application
from vuemantics_ws.gateway.server import Gateway


@asynccontextmanager
async def inspected(**settings: Any) -> AsyncIterator[tuple[Gateway, Control]]:
    async with (
        asyncio.timeout(60),
        gateway(**settings) as node,
        served(create_control_application(node)) as port,
        Control(f"http://127.0.0.1:{port}") as control,
    ):
        node.control_url = f"http://127.0.0.1:{port}"
        yield node, control
        await node.stop()  # ends the streams, for which the control port would wait


@asynccontextmanager
async def frozen(node: Gateway, user_id: str, *, uploads: int = 20) -> AsyncIterator[RawClient]:
    """A user who follows ``big-0`` and so on, and reads nothing until its transport is resumed; its buffers are full."""
    async with raw_client(node.address[1]) as peer:
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        token = node.authenticator.mint(user_id, 60.0)
        await peer.upgrade(then=frame(b'{"type": "auth", "token": "%s"}' % token.encode()))
        for number in range(uploads):
            peer.send(frame(b'{"action": "subscribe_upload", "upload_id": "big-%d"}' % number))
        while not node.manager.get_upload_subscriber_ids(f"big-{uploads - 1}"):  # noqa: ASYNC110
            await asyncio.sleep(0)
        cast(Any, peer.writer.transport).pause_reading()
        (connection,) = [connection for connection in node.connections if connection.user_id == user_id]
        turn = 0
        while not (connection.is_slow and connection.conflated):
            turn += 1
            for number in range(uploads):
                await node.manager.publish(event(f"big-{number}", turn % 100, message=f"{turn}" + "x" * 2_000))
        yield peer


class Later:
    """The same node, so many seconds later on the loop's clock."""

    def __init__(self, node: Gateway, seconds: float) -> None:
        self._node = node
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    @property
    def timers(self) -> Any:
        return self

    def now(self) -> float:
        return self._node.timers.now() + self._seconds
