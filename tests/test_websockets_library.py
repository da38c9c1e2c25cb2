"""The manager behind ``websockets.asyncio.server``, whose own server waits for ever for a peer that reads nothing."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.connection_manager.messages import completed, note, progress
from tests.connection_manager.sockets import sizes
from vuemantics_ws import ConnectionManager, Limits, MemoryBroker, SystemClock, socket_writer

PATIENCE_S = 10.0
BUFFER_BYTES = 32 * 1024


class Served:
    """A server of the library's, whose handler is what an application would write."""

    def __init__(self, manager: ConnectionManager) -> None:
        self.manager = manager
        self.address = ("127.0.0.1", 0)
        self.connections: list[ServerConnection] = []
        self._opened = asyncio.Semaphore(0)
        self._handled = asyncio.Semaphore(0)

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        user_id = connection.request.path.removeprefix("/")
        self.connections.append(connection)
        try:
            await self.manager.connect(user_id, connection)
            self._opened.release()
            async for message in connection:
                await self.manager.subscribe_upload(user_id, json.loads(message)["upload_id"], connection=connection)
        except ConnectionClosed:
            pass
        finally:
            await self.manager.disconnect(user_id, connection)
            self._handled.release()

    @asynccontextmanager
    async def client(self, user_id: str) -> AsyncIterator[ClientConnection]:
        """A client that the manager knows. Its socket holds little."""
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, self.address)
        url = f"ws://127.0.0.1:{self.address[1]}/{user_id}"
        connection = await connect(url, sock=narrow, compression=None, proxy=None, max_queue=None, ping_interval=None)
        await asyncio.wait_for(self._opened.acquire(), PATIENCE_S)
        try:
            yield connection
        finally:
            connection.transport.abort()

    async def handlers_ended(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(count):
                await self._handled.acquire()


@asynccontextmanager
async def served(manager: ConnectionManager) -> AsyncIterator[Served]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)  # accepted sockets inherit it
    listener.bind(("127.0.0.1", 0))
    made = Served(manager)
    async with serve(made.handle, sock=listener, compression=None, ping_interval=None):
        made.address = listener.getsockname()
        yield made


def managed(limits: Limits | None = None) -> ConnectionManager:
    return ConnectionManager(broker=MemoryBroker(clock=SystemClock()), limits=limits)


async def follow(connection: ClientConnection, upload_id: str, shows: int | str) -> None:
    await connection.send(json.dumps({"upload_id": upload_id}))
    assert await shown(connection) == shows


async def shown(connection: ClientConnection) -> int | str:
    message = json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S))
    return "done" if message["action"] == "upload_completed" else int(message["payload"]["progress_percent"])


def large(percent: int) -> dict[str, Any]:
    message = progress("a", percent)
    message["payload"]["message"] = "x" * 50_000
    return message


async def never_reads(connection: ClientConnection, manager: ConnectionManager) -> None:
    """The peer takes nothing any more, and enough is on its way to it that a send waits."""
    connection.transport.pause_reading()
    for percent in range(1, 40):
        await manager.publish(large(percent))


def test_tabs_see_every_state_and_a_late_one_the_newest() -> None:
    async def main() -> None:
        async with managed() as manager, served(manager) as server:
            await manager.publish(progress("a", 0), owner="alice")
            async with server.client("alice") as first, server.client("alice") as second, server.client("bob") as other:
                await follow(first, "a", shows=0)
                assert await shown(second) == 0
                await other.send(json.dumps({"upload_id": "a"}))
                await manager.publish(progress("a", 20))
                await manager.publish(completed("a"))
                await manager.publish(completed("b"), owner="bob")
                await follow(other, "b", shows="done")

                assert [await shown(first), await shown(first)] == [20, "done"]
                assert [await shown(second), await shown(second)] == [20, "done"]
                async with server.client("alice") as late:
                    assert await shown(late) == "done"
            await server.handlers_ended(4)

            assert not manager.user_connections
        assert sizes(manager) == {}

    asyncio.run(main())


def test_without_a_broker_what_is_sent_arrives_in_order() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        async with served(manager) as server:
            async with server.client("alice") as connection:
                await manager.subscribe_upload("alice", "a")

                await asyncio.gather(*(manager.send_to_user("alice", note(number)) for number in range(500)))
                await manager.send_to_upload_subscribers("a", completed("a"))

                numbers = [json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S))["number"] for _ in range(500)]
                assert numbers == list(range(500))
                assert await shown(connection) == "done"
            await server.handlers_ended(1)
        assert sizes(manager) == {}

    asyncio.run(main())


def test_a_peer_that_never_reads_delays_nobody_and_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_writer, "CLOSE_TIMEOUT_S", 0.1)

    async def main() -> None:
        async with managed(Limits(stall_timeout_s=0.2)) as manager, served(manager) as server:
            await manager.publish(progress("a", 0), owner="alice")
            async with server.client("alice") as frozen, server.client("alice") as prompt:
                await follow(frozen, "a", shows=0)
                assert await shown(prompt) == 0
                frozen.transport.pause_reading()

                for percent in range(1, 40):
                    await manager.publish(large(percent))
                    assert await shown(prompt) == percent
                await server.handlers_ended(1)

                assert len(manager.user_connections["alice"]) == 1
                assert [connection.transport.is_closing() for connection in server.connections] == [True, False]
                assert manager.counters.closes == {4008: 1}

    asyncio.run(main())


def test_disconnect_all_ends_though_a_peer_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_writer, "CLOSE_TIMEOUT_S", 0.1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        manager = managed()
        async with manager, served(manager) as server:
            await manager.publish(progress("a", 0), owner="alice")
            async with server.client("alice") as frozen, server.client("bob") as prompt:
                await follow(frozen, "a", shows=0)
                await never_reads(frozen, manager)
                await manager.publish(progress("b", 0), owner="bob")
                await follow(prompt, "b", shows=0)

                begun_at = loop.time()
                await manager.disconnect_all()
                took_s = loop.time() - begun_at
                await asyncio.wait_for(prompt.wait_closed(), PATIENCE_S)
                await server.handlers_ended(2)

                assert 0.1 <= took_s < 1.0
                assert (prompt.close_code, prompt.close_reason) == (1012, "Server reloading")
                assert all(connection.transport.is_closing() for connection in server.connections)
                assert sizes(manager) == {}

    asyncio.run(main())
