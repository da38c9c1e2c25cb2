"""What the workers of a plan publish, event by event, with all the slips that the plan has for them."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from vuemantics_ws.ambient import Clock, timestamp
from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.simulation.log import Log, Published
from vuemantics_ws.simulation.pipeline import completed_event, failed_event, progress_event
from vuemantics_ws.simulation.planning.plan import PlannedUpload
from vuemantics_ws.simulation.planning.schedule import PlannedEvent
from vuemantics_ws.simulation.worker import Workers


class Publishing:
    """The worker of one upload. It publishes in order, one event after the other, and waits for no other worker.

    Args:
        now: seconds since the scenario began.
        until: what is due after this is never published.
    """

    def __init__(
        self, upload: PlannedUpload, workers: Workers, log: Log, *, clock: Clock, now: Callable[[], float], until: float
    ) -> None:
        self._upload = upload
        self._workers = workers
        self._log = log
        self._clock = clock
        self._now = now
        self._until = until
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
            await self._publish(event, said)

    async def _publish(self, event: PlannedEvent, said: bytes) -> None:
        sent_at = self._now()

        def leaves() -> None:
            nonlocal sent_at
            sent_at = self._now()

        verdict = attempt = seq = problem = None
        owner = self._upload.owner if self._upload.versioned else None
        try:
            receipt = await self._workers.publish(said, owner=owner, sent=leaves)
            verdict, attempt, seq = receipt.verdict, receipt.attempt, receipt.seq
        except VuemanticsError as error:
            problem = error.message
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
                verdict=verdict,
                attempt=attempt,
                seq=seq,
                error=problem,
                messy=event.messy,
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
