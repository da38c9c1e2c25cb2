"""What nodes around Redis hear of a publisher."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.heads import read_state
from vuemantics_ws.core.upload import Head, Version

WITHIN_S = 10.0


class Heard:
    """Everything that was told under one prefix, in order."""

    def __init__(self) -> None:
        self.heads: list[Head] = []

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(head.frame.payload) for head in self.heads]

    @property
    def percents(self) -> list[int]:
        return [message["payload"]["progress_percent"] for message in self.messages if "payload" in message]

    @property
    def versions(self) -> list[Version]:
        return [head.version for head in self.heads]

    async def percent(self, percent: int) -> None:
        """Wait until this one was told."""
        await until(lambda: percent in self.percents)

    @property
    def actions(self) -> list[str]:
        return [message["action"].removeprefix("upload_") for message in self.messages]


@asynccontextmanager
async def hearing(server: RedisServer, prefix: str) -> AsyncIterator[Heard]:
    heard = Heard()

    async def listen() -> None:
        async for message in ear.listen():
            if message["type"] == "pmessage":
                heard.heads.append(read_state(message["data"], 0.0).head)

    async with Redis(port=server.port) as redis, redis.pubsub() as ear:
        await ear.psubscribe(f"{prefix}state:*")
        listening = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def stored(server: RedisServer, prefix: str, upload_id: str) -> dict[str, Any]:
    """The newest state that Redis keeps; empty where there is none."""
    text = server.cli("hget", f"{prefix}head:{{{upload_id}}}", "payload")
    message: dict[str, Any] = json.loads(text) if text.strip() else {}
    return message


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
