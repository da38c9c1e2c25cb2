"""What the workers of one machine show of themselves, as one: pages, and frames again and again.

It is asked of each over its control port, so it is there while Redis is away as well.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import msgspec

from vuemantics_ws.client.relay import Answer, Asked, Relay
from vuemantics_ws.errors import BadQuery, EnvironmentUnfit
from vuemantics_ws.gateway.crew import Crew
from vuemantics_ws.gateway.inspection import PAGE_MAX
from vuemantics_ws.gateway.inspection_answers import PageOptions, WatchOptions
from vuemantics_ws.gateway.merging import merge_frames
from vuemantics_ws.gateway.page_merging import merge_pages
from vuemantics_ws.gateway.worker import Worker
from vuemantics_ws.gateway.worker_streams import AGAIN_S
from vuemantics_ws.quantities import parse_duration

PATIENCE_S = 2.0
"""How much later than it should a worker may say how it does, before it counts as silent."""


async def ask_each(crew: Crew, relay: Relay, target: str) -> dict[int, Answer]:
    """What each worker that answers says, by its number."""

    async def ask(worker: Worker) -> Answer | None:
        if worker.control is None:
            return None
        with suppress(EnvironmentUnfit, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                return await relay.ask(worker.control, Asked("GET", target))
        return None

    answers = await asyncio.gather(*map(ask, crew.workers))
    return {worker.number: answer for worker, answer in zip(crew.workers, answers, strict=True) if answer is not None}


async def page_of_all(crew: Crew, relay: Relay, view: str, options: PageOptions) -> dict[str, Any] | Answer:
    """One page of what all of them have, or what one of them says instead.

    Raises:
        BadQuery: it lies too far down.
        EnvironmentUnfit: none answers.
    """
    told = await ask_each(crew, relay, f"/{view}?{_question(options)}")
    for answer in told.values():
        if answer.status != 200:
            return answer
    if not told:
        raise EnvironmentUnfit("no worker answers")
    pages = [msgspec.json.decode(answer.body) for answer in told.values()]
    missing = [crew.name_of(worker) for worker in crew.workers if worker.number not in told]
    return merge_pages(pages, limit=options.limit, offset=options.offset) | {"missing": missing}


async def frames_of_all(crew: Crew, relay: Relay, options: WatchOptions) -> AsyncGenerator[dict[str, Any] | Answer, None]:
    """All of them at a glance, at once and then every so often until they stop; or what one of them says instead.

    Raises:
        BadQuery: the page lies too far down.
    """
    target = f"/watch?{_question(options, view=options.view, every=options.every)}"
    every_s = parse_duration(options.every)
    looks = [_Look(worker) for worker in crew.workers]
    looking = [asyncio.ensure_future(look.follow(relay, target)) for look in looks]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(look.begun.wait() for look in looks))
        for look in looks:
            if look.refusal is not None:
                yield look.refusal
                return
        while not crew.ended.is_set():
            frame = _merged(looks, every_s, options)
            if frame is not None:
                yield frame
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await crew.ended.wait()
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


class _Look:
    """The newest frame of one worker."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.newest: bytes | None = None
        self.begun = asyncio.Event()
        """Set once it has said something, or was not there."""
        self.refusal: Answer | None = None

    async def follow(self, relay: Relay, target: str) -> None:
        while True:
            if self.worker.control is not None:
                with suppress(EnvironmentUnfit):
                    async with relay.stream(self.worker.control, target) as answered:
                        if isinstance(answered, Answer):
                            self.refusal = answered
                        else:
                            async for line in answered:
                                self.newest = line
                                self.begun.set()
            self.begun.set()
            await asyncio.sleep(AGAIN_S)
            await self.worker.listens.wait()


def _merged(looks: Sequence[_Look], every_s: float, options: WatchOptions) -> dict[str, Any] | None:
    frames = [msgspec.json.decode(look.newest) for look in looks if look.newest is not None]
    if not frames:
        return None
    oldest = max(frame["at"] for frame in frames) - every_s - PATIENCE_S
    heard = [frame for frame in frames if frame["at"] >= oldest]
    silent = [frame["nodes"][0] for frame in frames if frame["at"] < oldest]
    return merge_frames(heard, silent=silent, limit=options.limit, offset=options.offset)


def _question(options: PageOptions, **more: Any) -> str:
    """What each must be asked so that their answers make one."""
    together = options.offset + options.limit
    if together > PAGE_MAX:
        hint = "a filter finds what is further down"
        raise BadQuery(f"offset: expected at most {PAGE_MAX} together with limit, where several workers are asked", hint=hint)
    asked = {"filter": options.filter, "sort": options.sort, "limit": together, "scope": "node", **more}
    return urlencode(asked, doseq=True)
