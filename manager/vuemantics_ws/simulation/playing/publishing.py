"""What the workers of a plan publish, event by event, with all the slips that the plan has for them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from vuemantics_ws.ambient import Clock, timestamp
from vuemantics_ws.client.control import Receipt
from vuemantics_ws.errors import EnvironmentUnfit, VuemanticsError
from vuemantics_ws.simulation.log import Log, Published
from vuemantics_ws.simulation.pipeline import completed_event, failed_event, progress_event
from vuemantics_ws.simulation.planning.plan import PlannedUpload
from vuemantics_ws.simulation.planning.schedule import PlannedEvent
from vuemantics_ws.simulation.system import UNHEARD, Place, PlainPublishers

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5
"""How long a worker waits before it tries once more, after every node was tried: at first, and later."""

SLOW_S = 0.25
"""An answer that takes so long holds up what is behind it. Of a quicker one nobody can say whose time it was: the server's, or
that of a simulator with too much to do.
"""


class Publishers:
    """Publishes at whichever node answers.

    What one node could not take, or did not answer in time, is published at the next one, which does no harm where it had been
    taken: the judge knows it. So a worker always learns what became of its event, if it may try for long enough.

    Args:
        places: the nodes. Of a single one that is not to fail nothing is tried again.
        until: when a worker gives up, in seconds since the scenario began.
    """

    def __init__(self, places: Sequence[Place], *, tries_again: bool, now: Callable[[], float], until: float) -> None:
        self._places = places
        self._tries_again = tries_again
        self._now = now
        self._until = until

    async def publish(self, event: bytes, *, owner: str | None, first: int, sent: Callable[[], None]) -> Receipt:
        """``first`` says where a worker tries first; ``sent`` is called each time that it leaves.

        Raises:
            BadEvent: the server cannot take it as an event.
            Refused: the server said no.
            EnvironmentUnfit: no node takes it in time.
        """
        pause_s, place = FIRST_PAUSE_S, first % len(self._places)
        order = [*self._places[place:], *self._places[:place]]
        while True:
            failed: EnvironmentUnfit | None = None
            for each in [each for each in order if each.takes] or order:
                try:
                    return await each.workers.publish(event, owner=owner, sent=sent)
                except EnvironmentUnfit as error:
                    failed = error
            assert failed is not None
            if not self._tries_again or self._now() + pause_s >= self._until:
                raise failed
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


class Publishing:
    """The worker of one upload. It publishes in order, one event after the other, and waits for no other worker.

    Args:
        number: of the worker: where it publishes first follows from it.
        now: seconds since the scenario began.
        until: what is due after this is never published.
        plain: how it publishes where it knows nothing of us; None where it goes by the control port all the same.
    """

    def __init__(
        self,
        upload: PlannedUpload,
        publishers: Publishers,
        log: Log,
        *,
        plain: PlainPublishers | None,
        number: int,
        clock: Clock,
        now: Callable[[], float],
        until: float,
    ) -> None:
        self._upload = upload
        self._publishers = publishers
        self._plain = plain if not upload.versioned else None
        self._hearing: dict[asyncio.Task[None], None] = {}
        self._number = number
        self._log = log
        self._clock = clock
        self._now = now
        self._until = until
        self._held_up_until = 0.0
        """Until when an event was tried again or its answer was slow, and those behind it had to wait."""
        self._said: dict[tuple[int, int], bytes] = {}
        """What was published of a version, where copies of it will be."""

    async def run(self) -> None:
        copied = {(event.attempt, event.seq) for event in self._upload.events if event.copy}
        for event in self._upload.events:
            if event.at_s > self._until:
                return
            await asyncio.sleep(max(0.0, event.at_s - self._now()))
            version = (event.attempt, event.seq)
            said = self._said.get(version) if event.copy else None
            if said is None:
                said = event_bytes(self._upload, event, timestamp(self._clock))
                if version in copied:
                    self._said[version] = said
            if self._plain is None:
                await self._publish(event, said)
            else:
                await self._publish_plainly(event, said, self._plain)
        if self._hearing:
            await asyncio.wait(self._hearing)

    async def _publish_plainly(self, event: PlannedEvent, said: bytes, plain: PlainPublishers) -> None:
        """The worker goes on at once; what became of the event is written down when it was heard."""
        sent_at = self._now()
        digest = await plain.publish(said)

        async def hear() -> None:
            receipt = await plain.heard(digest) if digest is not None else None
            verdict = receipt.verdict if receipt is not None else UNHEARD
            attempt, seq = (receipt.attempt, receipt.seq) if receipt is not None else (None, None)
            self._note(event, said, sent_at=sent_at, verdict=verdict, attempt=attempt, seq=seq)

        hearing = asyncio.ensure_future(hear())
        self._hearing[hearing] = None
        hearing.add_done_callback(self._hearing.pop)

    async def _publish(self, event: PlannedEvent, said: bytes) -> None:
        sent_at = self._now()
        times: list[float] = []

        def leaves() -> None:
            nonlocal sent_at
            sent_at = self._now()
            times.append(sent_at)

        verdict = attempt = seq = problem = None
        owner = self._upload.owner if self._upload.versioned else None
        try:
            receipt = await self._publishers.publish(said, owner=owner, first=self._number, sent=leaves)
            verdict, attempt, seq = receipt.verdict, receipt.attempt, receipt.seq
        except VuemanticsError as error:
            problem = error.message
        answered_at = self._now()
        held_up_s = max(0.0, self._held_up_until - event.at_s) + (sent_at - times[0] if times else 0.0)
        if held_up_s or answered_at - sent_at >= SLOW_S:
            self._held_up_until = answered_at
        self._note(
            event,
            said,
            sent_at=sent_at,
            verdict=verdict,
            attempt=attempt,
            seq=seq,
            error=problem,
            held_up_s=round(held_up_s, 6),
        )

    def _note(self, event: PlannedEvent, said: bytes, *, sent_at: float, **known: Any) -> None:
        self._log.append(
            Published(
                at=self._now(),
                scheduled_at=event.at_s,
                sent_at=sent_at,
                upload_id=self._upload.upload_id,
                action=event.action,
                terminal=event.action != "upload_progress",
                stage=event.stage.value,
                percent=event.percent,
                size_bytes=len(said),
                messy=event.messy,
                copy=event.copy,
                **known,
            )
        )


def event_bytes(upload: PlannedUpload, event: PlannedEvent, when: datetime) -> bytes:
    """What a worker publishes: with a version, unless it is a plain one."""
    version = (event.attempt, event.seq) if upload.versioned else None
    if event.action == "upload_progress":
        return progress_event(upload.upload_id, event.stage, event.percent, when, version=version)
    if event.action == "upload_failed":
        return failed_event(upload.upload_id, when, reason=f"{event.stage} failed", version=version)
    return completed_event(upload.upload_id, when, description=f"A simulated upload named {upload.name}", version=version)
