"""A small server of the test's own: real sockets, and a script of what it does with each connection."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from websockets.asyncio.server import ServerConnection, serve

T = TypeVar("T")
Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection, number: int) -> None:
        self.socket = socket
        self.number = number

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def welcome(self, user_id: str = "alice") -> str:
        """Take the auth message, answer it, and return the token."""
        auth = await self.receive()
        await self.send(action="auth_success", user_id=user_id)
        return str(auth["token"])

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    def cut(self) -> None:
        self.socket.transport.abort()


@contextlib.asynccontextmanager
async def serving(script: Script, **options: Any) -> AsyncIterator[str]:
    """The URL of a server that runs the script for each connection."""
    peers = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal peers
        peers += 1
        await script(Peer(socket, peers))

    async with serve(handle, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws/uploads"


@contextlib.asynccontextmanager
async def stranger(says: bytes = b"") -> AsyncIterator[int]:
    """The port of something that is no server of ours: it waits for a line, says what it says, and then nothing more."""
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readline()
        if says:
            writer.write(says)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or fail after ten seconds."""

    async def bounded() -> T:
        return await asyncio.wait_for(coroutine, 10)

    return asyncio.run(bounded())
