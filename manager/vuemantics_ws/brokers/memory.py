"""The broker inside one process: the default of ``serve``. It forgets everything when the process ends."""

from collections.abc import Iterator, Mapping

from vuemantics_ws.ambient import Clock, SystemClock
from vuemantics_ws.brokers.base import Adopted, Deliver, Found, Health, Receipt
from vuemantics_ws.core.upload import Event, Head, Upload, Verdict
from vuemantics_ws.limits import Limits


class MemoryBroker:
    """Publish and deliver are one call on one thread, so nothing can come between them.

    Uploads that somebody watches are kept; of the others the ``heads_max`` last published ones, for ``head_ttl_s``.
    """

    def __init__(self, *, clock: Clock | None = None, limits: Limits | None = None) -> None:
        self._clock = clock or SystemClock()
        self._limits = limits or Limits()
        self._uploads: dict[str, Upload] = {}  # least recently published first
        self._watched: dict[str, Upload] = {}  # those that somebody watches, published yet or not
        self._deliver: Deliver | None = None
        self._health = Health(ready=True, since=self._clock.monotonic())

    async def start(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def stop(self) -> None:
        self._deliver = None

    async def publish(self, event: Event) -> Receipt:
        now = self._clock.monotonic()
        upload_id = event.upload_id
        upload = self._watched.get(upload_id)
        watched = upload is not None
        if upload is None:
            upload = self._uploads.pop(upload_id, None)
            if upload is None or self._is_old(upload, now):
                upload = Upload()
            self._uploads[upload_id] = upload
            self._forget_old(now)
        verdict, version = upload.judge(event, now)
        deliver = self._deliver if watched and verdict is Verdict.ACCEPTED else None
        if deliver is not None:
            assert upload.head is not None
            deliver(upload_id, upload.head)
        owned = upload.head is not None and upload.head.owner is not None
        return Receipt(verdict, version, int(deliver is not None), owned)

    def watch(self, upload_id: str, found: Found) -> None:
        assert upload_id not in self._watched
        upload = self._uploads.pop(upload_id, None)
        if upload is None or self._is_old(upload, self._clock.monotonic()):
            upload = Upload()
        self._watched[upload_id] = upload
        found(upload.head)

    def unwatch(self, upload_id: str) -> None:
        upload = self._watched.pop(upload_id)
        if upload.head is not None:
            self._uploads[upload_id] = upload
            self._forget_old(self._clock.monotonic())

    async def head(self, upload_id: str) -> Head | None:
        upload = self._watched.get(upload_id) or self._uploads.get(upload_id)
        if upload is None or (upload_id in self._uploads and self._is_old(upload, self._clock.monotonic())):
            return None
        return upload.head

    @property
    def name(self) -> str:
        return "memory"

    @property
    def users(self) -> None:
        return None

    @property
    def health(self) -> Health:
        return self._health

    @property
    def nodes(self) -> None:
        return None

    @property
    def adopted(self) -> Mapping[str, int]:
        return {}

    def tell_adopted(self, told: Adopted) -> None:
        """There is nobody to adopt from."""

    @property
    def watches(self) -> int:
        return len(self._watched)

    @property
    def heads(self) -> int:
        return len(self._uploads) + sum(upload.head is not None for upload in self._watched.values())

    def unwatched(self) -> Iterator[tuple[str, Head]]:
        now = self._clock.monotonic()
        for upload_id, upload in list(self._uploads.items()):
            if upload.head is not None and not self._is_old(upload, now):
                yield upload_id, upload.head

    def keeps(self, upload_id: str) -> bool:
        return upload_id in self._uploads

    def _is_old(self, upload: Upload, now: float) -> bool:
        return upload.head is not None and now - upload.head.accepted_at > self._limits.head_ttl_s

    def _forget_old(self, now: float) -> None:
        uploads = self._uploads
        while uploads:
            oldest = next(iter(uploads))
            if len(uploads) <= self._limits.heads_max and not self._is_old(uploads[oldest], now):
                break
            del uploads[oldest]
