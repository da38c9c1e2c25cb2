"""A broker that takes its time, as one behind a network does."""

from collections.abc import Iterator
from dataclasses import dataclass

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Adopted, Deliver, Found, Health, Receipt
from vuemantics_ws.core.upload import Event, Head, Upload, Verdict, Version


@dataclass
class _Watch:
    found: Found
    has_read: bool = False
    head: Head | None = None


class LateBroker:
    """Tells of an upload from ``watch`` on, reads its head when a test says so, and answers with it when a test says so.

    Between the three anything may be published, as between a SUBSCRIBE, a GET and its reply. What it tells may lag behind
    what it has read: from :meth:`fall_behind` to :meth:`catch_up`.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._uploads: dict[str, Upload] = {}
        self._told: set[str] = set()
        self._deliver: Deliver | None = None
        self._lagging: list[tuple[str, Head]] | None = None
        self.owners: dict[tuple[str, Version], str | None] = {}
        self.owed: dict[str, _Watch] = {}
        self.watched = 0

    async def start(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def stop(self) -> None:
        self._deliver = None

    async def publish(self, event: Event) -> Receipt:
        upload = self._uploads.setdefault(event.upload_id, Upload())
        verdict, version = upload.judge(event, self._clock.monotonic())
        if upload.head is not None:
            self.owners[event.upload_id, upload.head.version] = upload.head.owner
        told = verdict is Verdict.ACCEPTED and event.upload_id in self._told
        if told and self._deliver is not None:
            assert upload.head is not None
            if self._lagging is None:
                self._deliver(event.upload_id, upload.head)
            else:
                self._lagging.append((event.upload_id, upload.head))
        return Receipt(verdict, version, int(told), owned=upload.head is not None and upload.head.owner is not None)

    def watch(self, upload_id: str, found: Found) -> None:
        assert upload_id not in self._told
        self._told.add(upload_id)
        self.owed[upload_id] = _Watch(found)
        self.watched += 1

    def unwatch(self, upload_id: str) -> None:
        self._told.remove(upload_id)
        self.owed.pop(upload_id, None)

    name = "late"
    users = None
    health = Health(ready=True, since=0.0)

    @property
    def nodes(self) -> None:
        return None

    @property
    def adopted(self) -> dict[str, int]:
        return {}

    def tell_adopted(self, told: Adopted) -> None:
        pass

    @property
    def watches(self) -> int:
        return len(self._told)

    @property
    def heads(self) -> None:
        return None

    def unwatched(self) -> Iterator[tuple[str, Head]]:
        return iter(())

    def keeps(self, upload_id: str) -> bool:
        return False

    async def head(self, upload_id: str) -> Head | None:
        upload = self._uploads.get(upload_id)
        return upload.head if upload is not None else None

    def read(self, upload_id: str) -> None:
        """The head is read; who asked hears of it with :meth:`answer`."""
        watch = self.owed.get(upload_id)
        if watch is not None and not watch.has_read:
            upload = self._uploads.get(upload_id)
            watch.has_read, watch.head = True, upload.head if upload is not None else None

    def answer(self, upload_id: str) -> None:
        self.read(upload_id)
        watch = self.owed.pop(upload_id, None)
        if watch is not None:
            watch.found(watch.head)

    @property
    def is_behind(self) -> bool:
        return self._lagging is not None

    def fall_behind(self) -> None:
        self._lagging = []

    def catch_up(self) -> None:
        behind, self._lagging = self._lagging or [], None
        for upload_id, head in behind:
            if upload_id in self._told and self._deliver is not None:
                self._deliver(upload_id, head)

    def answer_all(self) -> None:
        for upload_id in list(self.owed):
            self.answer(upload_id)
