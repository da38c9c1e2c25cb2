"""Several nodes around one Redis in the test's own loop, each with its control port and a client of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from tests.gateway.inspected import inspected
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.client.control import Control
from vuemantics_ws.gateway.run import make_broker
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings


class Member(NamedTuple):
    node: Gateway
    control: Control


@asynccontextmanager
async def clustered(url: str, prefix: str, names: str = "abc", **settings: Any) -> AsyncIterator[list[Member]]:
    """Nodes called by single letters, once all of them know of all, and hear plain publishers unless they are told not to."""
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(member(url, prefix, name, **settings)) for name in names]
        await until(lambda: all(len(others(one)) == len(names) - 1 for one in members))
        if settings.get("adopt", True):
            await until(lambda: all(one.node.broker.health.adopts for one in members))
        yield members


@asynccontextmanager
async def member(url: str, prefix: str, name: str, **settings: Any) -> AsyncIterator[Member]:
    given = {"redis": url, "redis_prefix": prefix, "plain_prefix": prefix, "node_name": name, **settings}
    broker = make_broker(Settings(**given), SystemClock())
    async with inspected(broker=broker, **given) as (node, control):
        yield Member(node, control)


def others(member: Member) -> list[dict[str, Any]]:
    assert member.node.broker.nodes is not None
    return member.node.broker.nodes.others()


async def until(reached: Callable[[], bool], within_s: float = 10.0) -> None:
    """Other than a node alone, one of several waits for time to pass: a turn of the loop is not enough."""
    async with asyncio.timeout(within_s):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
