"""Gives what plain publishers say to the judge, in the order in which it was heard."""

import asyncio
from collections import Counter

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Adopted, Receipt
from vuemantics_ws.core.upload import Event
from vuemantics_ws.errors import BadEvent
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.hub.middle import Middle, Peer

BEHIND_MAX_S = 30.0
"""What is older is not adopted: digests are remembered for twice as long, and without its digest it would be news."""

AGAIN_AFTER_S = 0.1
AGAIN_AFTER_MAX_S = 1.0


class Adopting:
    """Several adopters submit each event, and the judge knows it after the first. What got no answer is submitted again.

    Attributes:
        told: called with each event that was judged, and its receipt.
        counts: what became of the events: verdicts, and why some were not judged.
    """

    def __init__(self, middle: Middle, peer: Peer, clock: Clock, limits: Limits) -> None:
        self.counts: Counter[str] = Counter()
        self.told: Adopted = _nobody_listens
        self._middle = middle
        self._peer = peer
        self._clock = clock
        self._event_bytes_max = limits.event_bytes_max
        self._unanswered: dict[int, tuple[Event, float]] = {}
        """By number, with when they were said: those that the judge was given, and those that wait for their turn."""
        self._number = 0
        self._again: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        if self._again is not None:
            self._again.cancel()
        self._unanswered.clear()

    def hear(self, upload_id: str, payload: bytes, said_at: float) -> None:
        """A plain message came on the channel of this upload."""
        if len(payload) > self._event_bytes_max:
            self.counts["too_big"] += 1
            return
        try:
            event = Event.read(payload)
        except BadEvent:
            self.counts["bad_event"] += 1
            return
        if event.upload_id != upload_id:
            self.counts["another_upload"] += 1
            return
        self._number += 1
        self._unanswered[self._number] = event, said_at
        if self._again is None:
            self._submit(self._number)

    def _submit(self, number: int) -> None:
        event, said_at = self._unanswered[number]
        if self._middle.loop.time() - said_at > BEHIND_MAX_S:
            del self._unanswered[number]
            self.counts["late"] += 1
            return
        answered = lambda receipt: self._judged(number, receipt)  # noqa: E731 - it is handed on
        self._peer.sharing.ask(len(event.published), answered, self._middle.publish, event)

    def _judged(self, number: int, receipt: Receipt | None) -> None:
        if receipt is None:
            if self._again is None:
                again_s = self._peer.dice.uniform(AGAIN_AFTER_S, AGAIN_AFTER_MAX_S)
                self._again = self._middle.loop.call_later(again_s, self._submit_again)
            return
        event, _ = self._unanswered.pop(number, (None, None))
        if event is None:
            return  # it was submitted twice, and answered
        self.counts[receipt.verdict.value] += 1
        self.told(event, receipt)

    def _submit_again(self) -> None:
        """Where one was not answered none behind it was: all of them go again, in their order."""
        self._again = None
        for number in list(self._unanswered):
            self._submit(number)


def _nobody_listens(event: Event, receipt: Receipt) -> None:
    """Until somebody does."""
