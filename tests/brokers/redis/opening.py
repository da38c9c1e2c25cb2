"""One broker around a real Redis, or several of one system, for the time of a test."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from tests.brokers.benches import RedisBench, redis_bench

WITHIN_S = 60.0


def with_broker(url: str, act: Callable[[RedisBench], Coroutine[Any, Any, None]], **options: Any) -> None:
    """``options`` are the broker's."""

    async def opened() -> None:
        async with asyncio.timeout(WITHIN_S), redis_bench(url, **options) as bench:
            await act(bench)

    asyncio.run(opened())


def with_brokers(urls: list[str], act: Callable[[list[RedisBench]], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Several that share a prefix, a broker a URL."""
    options = {"prefix": "shared:", **options}

    async def opened() -> None:
        async with asyncio.timeout(WITHIN_S), AsyncExitStack() as stack:
            await act([await stack.enter_async_context(redis_bench(url, **options)) for url in urls])

    asyncio.run(opened())
