"""What progress costs a job: ``python -m tests.benchmarks.publishing``. Starts a Redis of its own.

Says progress in a tight loop, with and without an event loop, and goes over a million items with and without ``track``. Then a
thousand uploads are begun and ended at once, which counts everything up to the last receipt.
"""

import asyncio
import time

from tests.redis_server import RedisServer
from vuemantics_ws import Stage, SyncUploadProgressPublisher, UploadProgressPublisher

CALLS = 1_000_000
UPLOADS = 1_000


def main() -> None:
    with RedisServer() as server:
        asyncio.run(_with_a_loop(server.url))
        _without_one(server.url)


async def _with_a_loop(url: str) -> None:
    async with UploadProgressPublisher(url) as publisher:
        upload = publisher.upload("a")
        started = time.perf_counter()
        for number in range(CALLS):
            upload.progress(Stage.VISION_ANALYSIS, 20 + number % 30, "Looking at it")
        _say("progress(), with an event loop", started, CALLS)

        started = time.perf_counter()
        for _ in range(CALLS):
            pass
        bare_s = time.perf_counter() - started
        started = time.perf_counter()
        for _ in upload.track(range(CALLS), Stage.VISION_ANALYSIS):
            pass
        _say("track(), each item", started + bare_s, CALLS)

        blocks = [publisher.upload(f"u{number}") for number in range(UPLOADS)]
        started = time.perf_counter()
        for block in blocks:
            block.progress(Stage.QUEUED)
        await asyncio.gather(*(block.completed("a beach", 80) for block in blocks))
        _say("an upload's end, of a thousand at once", started, UPLOADS)


def _without_one(url: str) -> None:
    with SyncUploadProgressPublisher(url) as publisher:
        upload = publisher.upload("a")
        started = time.perf_counter()
        for number in range(CALLS):
            upload.progress(Stage.VISION_ANALYSIS, 20 + number % 30, "Looking at it")
        _say("progress(), without", started, CALLS)

        started = time.perf_counter()
        for number in range(UPLOADS):
            publisher.upload(f"s{number}").completed("a beach", 80)
        _say("completed(), one after the other", started, UPLOADS)


def _say(what: str, started: float, count: int) -> None:
    print(f"{what}: {(time.perf_counter() - started) / count * 1e6:.2f} µs")


if __name__ == "__main__":
    main()
