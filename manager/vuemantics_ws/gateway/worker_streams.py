"""Endless answers of several workers as one. Each ends when the last of them has stopped."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import msgspec

from vuemantics_ws.client.relay import Answer, Relay
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.crew import Crew
from vuemantics_ws.gateway.worker import Worker

LINES_AHEAD = 64
"""What may wait for a slow reader. Beyond it the workers wait as well, and drop what they must."""

AGAIN_S = 0.2
"""How soon a worker is asked again that went away; by then it has ended, or never will."""


async def frames_of_any(crew: Crew, relay: Relay, target: str) -> AsyncGenerator[msgspec.Raw | Answer, None]:
    """The frames that one worker sends, and those of another where that one goes away; or why there are none."""
    count, before = 0, -1
    while count > before:
        before = count
        for control in relay.in_turn(crew.controls):
            with suppress(EnvironmentUnfit):
                async with relay.stream(control, target) as answered:
                    if not isinstance(answered, Answer):
                        async for line in answered:
                            count += 1
                            yield msgspec.Raw(line)
                    elif not count:
                        yield answered
                        return


async def happenings(crew: Crew, relay: Relay) -> AsyncGenerator[msgspec.Raw | None, None]:
    """What happens in every worker, each line with its number. Begins with a None once all are listened to."""
    lines: asyncio.Queue[msgspec.Raw | None] = asyncio.Queue(LINES_AHEAD)
    heard = [asyncio.Event() for _ in crew.workers]
    listening = [asyncio.ensure_future(_listen(*each, relay, lines)) for each in zip(crew.workers, heard, strict=True)]
    listening.append(asyncio.ensure_future(_end(crew, lines)))
    try:
        await asyncio.gather(*(event.wait() for event in heard))
        yield None
        while (line := await lines.get()) is not None:
            yield line
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


async def _listen(worker: Worker, heard: asyncio.Event, relay: Relay, lines: "asyncio.Queue[msgspec.Raw | None]") -> None:
    while True:
        if worker.control is not None:
            with suppress(EnvironmentUnfit):
                async with relay.stream(worker.control, "/happenings") as answered:
                    heard.set()
                    if not isinstance(answered, Answer):
                        async for line in answered:
                            await lines.put(msgspec.Raw(b'{"worker":%d,%b' % (worker.number, line[1:])))
        heard.set()
        await asyncio.sleep(AGAIN_S)
        await worker.listens.wait()


async def _end(crew: Crew, lines: "asyncio.Queue[msgspec.Raw | None]") -> None:
    await crew.ended.wait()
    await lines.put(None)
