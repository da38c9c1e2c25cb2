"""Where ``publish`` says it: to one server, or to all nodes around a Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from vuemantics_ws.client.control import Control, Receipt
from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.messages import gist_of

if TYPE_CHECKING:
    from vuemantics_ws.publisher.publisher import UploadProgressPublisher


class Destination(Protocol):
    """Takes events, and says what became of each."""

    async def publish(self, event: bytes, owner: str | None) -> Receipt: ...

    async def hides(self, upload_id: str) -> bool:
        """Whether it is known that nobody is shown this upload, because nobody owns it."""
        ...


@asynccontextmanager
async def open_destination(control: str, redis: str | None, redis_prefix: str) -> AsyncIterator[Destination]:
    """The nodes around ``redis`` where it is given, else the server at ``control``.

    Raises:
        BadSetting: a URL is none.
    """
    if redis is None:
        async with Control(control) as server:
            yield _Server(server)
    else:
        from vuemantics_ws.publisher.publisher import UploadProgressPublisher

        async with UploadProgressPublisher(redis, prefix=redis_prefix) as publisher:
            yield _Nodes(publisher)


class _Server:
    def __init__(self, control: Control) -> None:
        self._control = control

    async def publish(self, event: bytes, owner: str | None) -> Receipt:
        return await self._control.publish(event, owner=owner)

    async def hides(self, upload_id: str) -> bool:
        try:
            if not (await self._control.statistics())["counters"]["unowned_events"]:  # counted under --access owner alone
                return False
            head = await self._control.head(upload_id)
        except (VuemanticsError, LookupError, TypeError):
            return False  # the event was taken, which is what was asked for
        return head is not None and head.get("owner") is None


class _Nodes:
    def __init__(self, publisher: "UploadProgressPublisher") -> None:
        self._publisher = publisher

    async def publish(self, event: bytes, owner: str | None) -> Receipt:
        verdict, version, receivers, _ = await self._publisher.publish(event, owner=owner)
        attempt, seq = version or (None, None)
        gist = gist_of(event)
        return Receipt(gist.progress_of or gist.ends or "", verdict, attempt, seq, receivers)

    async def hides(self, upload_id: str) -> bool:
        return False  # which access rule the nodes have, they alone know
