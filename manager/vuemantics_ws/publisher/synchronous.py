"""``SyncUploadProgressPublisher``: the same from threads, Celery, RQ, and whatever else has no event loop."""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self
from weakref import WeakSet

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.redis.commands import COMMAND_TIMEOUT_S
from vuemantics_ws.errors import NotPublished
from vuemantics_ws.publisher.outgoing import Outgoing, Statistics
from vuemantics_ws.publisher.publisher import Line, Publisher
from vuemantics_ws.publisher.reporting import Reporting
from vuemantics_ws.publisher.telling import Outcome

logger = logging.getLogger(__name__)


class Worker(NamedTuple):
    """A thread with a loop of its own, and what is open in it."""

    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    line: Line


class SyncUploadProgressPublisher(Publisher):
    """Says how uploads are doing, from any thread. All that :class:`vuemantics_ws.UploadProgressPublisher` promises holds.

    One a process is enough, made where you like: at the top of a module, too. It starts a thread with an event loop when
    something is first said, and another one after a fork; a child says nothing of what waited in its parent. :meth:`close`,
    the end of a ``with`` and the end of the interpreter publish what waits: progress in one more try, ends until their
    deadlines. After :meth:`close` progress is dropped, and ends are not published.
    """

    _worker: Worker | None = None
    _closed = False
    _statistics = Statistics()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Publish what waits, and end the thread. Calling it twice does no harm."""
        with _LOCK.held:
            self._closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.loop.call_soon_threadsafe(worker.stop.set)
            worker.thread.join(self._patience_s)
            self._statistics = worker.line.outgoing.statistics

    def upload(self, upload_id: str, *, owner: str | None = None) -> "SyncPublishedUpload":
        """A block that says how one upload is doing.

        Args:
            owner: who may follow it, where nodes run with ``--access owner``. None leaves it to whom it belongs already.

        Raises:
            BadEvent: no server would take such an id.
        """
        return SyncPublishedUpload(self, upload_id, owner, self._patience_s)

    @property
    def statistics(self) -> Statistics:
        """What became of what was said so far in this process."""
        return self._worker.line.outgoing.statistics if self._worker is not None else self._statistics

    def outgoing(self) -> Outgoing | None:
        worker = self._worker
        if worker is None:
            worker = self._start()
        return worker.line.outgoing if worker is not None else None

    @property
    def _patience_s(self) -> float:
        """For the thread, which keeps the deadline itself unless it hangs."""
        return self._pace.deadline_s + 2 * COMMAND_TIMEOUT_S

    def _start(self) -> Worker | None:
        with _LOCK.held:
            if self._worker is None and not self._closed:
                opened: Future[Worker] = Future()
                thread = threading.Thread(target=self._live, args=(opened,), name="vuemantics-ws publisher", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends
                    return None
                self._worker = opened.result()
                _LIVING.add(self)
            return self._worker

    def _live(self, opened: "Future[Worker]") -> None:
        asyncio.run(self._work(opened))

    async def _work(self, opened: "Future[Worker]") -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_Resolver(max_workers=1))
        try:
            worker = Worker(threading.current_thread(), loop, asyncio.Event(), self._open())
        except BaseException as error:
            opened.set_exception(error)
            raise
        opened.set_result(worker)
        await worker.stop.wait()
        await worker.line.close()

    def forget_parent(self) -> None:
        """In a child after a fork: the thread is not here, and its sockets are the parent's."""
        if self._worker is not None:
            _PARENTS.append(self._worker)
        self._worker = None


class SyncPublishedUpload(Reporting):
    """A block about one upload: ``with publisher.upload(upload_id) as upload``.

    It ends the upload as its block ends, by the rules of :class:`vuemantics_ws.publisher.publisher.PublishedUpload`; being
    interrupted (``KeyboardInterrupt``, ``SystemExit``) is what being cancelled is there.
    """

    def __init__(self, publisher: SyncUploadProgressPublisher, upload_id: str, owner: str | None, patience_s: float) -> None:
        super().__init__(publisher, upload_id, owner)
        self._patience_s = patience_s

    def completed(self, description: str, audit_score: int) -> Receipt:
        """Say what was found, and wait until it is published. Being interrupted stops the waiting, not the publishing.

        Raises:
            NotPublished: it could not be, until the deadline.
        """
        self._say_completed(description, audit_score)
        return self._published()

    def failed(self, error_message: str) -> Receipt:
        """Say why it failed, in words for a person, and wait until it is published.

        Raises:
            NotPublished: it could not be, until the deadline.
        """
        self._say_failed(error_message)
        return self._published()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._leave(error):
            self._settled()

    def _published(self) -> Receipt:
        outcome = self._settled()
        if isinstance(outcome, NotPublished):
            raise outcome
        return outcome

    def _settled(self) -> Outcome:
        try:
            return self._telling.settled.result(self._patience_s)
        except TimeoutError:
            return NotPublished(self.upload_id, "the thread that publishes hangs")


class _Resolver(ThreadPoolExecutor):
    """Resolves names for the loop; while the interpreter ends, when no thread begins any more, in the loop's own."""

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        try:
            return super().submit(call, *arguments, **named)
        except RuntimeError:
            done: Future[Any] = Future()
            try:
                done.set_result(call(*arguments, **named))
            except OSError as error:
                done.set_exception(error)
            return done


class _Lock:
    """Of all publishers' starts and ends. A fork may copy it while it is held, so a child takes a new one."""

    def __init__(self) -> None:
        self.held = threading.Lock()


_LOCK = _Lock()
_LIVING: WeakSet[SyncUploadProgressPublisher] = WeakSet()
_PARENTS: list[Worker] = []
"""Kept, not touched: closing them would take the parent's sockets out of the selector that both share."""


def _after_fork() -> None:
    _LOCK.held = threading.Lock()
    for publisher in list(_LIVING):
        publisher.forget_parent()


def _at_exit() -> None:
    for publisher in list(_LIVING):
        publisher.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
