"""Sending to a socket whose send must be awaited: Starlette's, FastAPI's, ``websockets``' own.

One writer a socket, and a task only while something is pending: it drains the outbox in order, with a deadline on each send.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from vuemantics_ws.closing import RELOADING_REASON, CloseCode
from vuemantics_ws.core.outbox import ConflatingOutbox, OrderedOutbox
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import Frame, Gist

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 1.0
"""What closing a socket may take before the connection is dropped without it."""

UNBROKERED_MESSAGES_MAX = 256


class SocketWriter:
    """The part that both kinds of writer share: when to send, and when to give the socket up.

    ``dropped`` is called once, when the socket failed or did not keep up; never after :meth:`stop` or :meth:`close`.
    """

    def __init__(self, user_id: str, websocket: Any, *, limits: Limits, dropped: Callable[["SocketWriter"], None]) -> None:
        self.user_id = user_id
        self.websocket = websocket
        self._limits = limits
        self._dropped = dropped
        self._send = _sender(websocket)
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def stop(self) -> None:
        """Send nothing more. The socket itself is the caller's."""
        self._ended = True
        self._clear()
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Send what is pending, then close the socket with 1012. Each may take a second, then it ends all the same."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_TIMEOUT_S)
        self.stop()
        await self._close_socket(CloseCode.SERVER_RELOADING, RELOADING_REASON)

    def _wake(self) -> None:
        if self._task is None and not self._ended:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    def _overflow(self) -> None:
        """More waits than may wait: the socket is closed with 4008 and dropped."""
        if self._ended:
            return
        self.stop()
        self._task = asyncio.get_running_loop().create_task(self._close_socket(CloseCode.STALLED, "too many messages wait"))
        self._dropped(self)

    async def _drain(self) -> None:
        try:
            while (frame := self._next()) is not None:
                async with asyncio.timeout(self._limits.stall_timeout_s):
                    await self._send(frame)
        except TimeoutError:
            self._fail()
            await self._close_socket(CloseCode.STALLED, "took nothing for too long")
        except Exception as error:  # noqa: BLE001 - whatever a stranger's socket raises concerns this socket alone
            logger.info("a connection was dropped: its send raised %s", type(error).__name__)
            self._fail()
        finally:
            self._task = None

    def _fail(self) -> None:
        if not self._ended:
            self._ended = True
            self._clear()
            self._dropped(self)

    async def _close_socket(self, code: CloseCode, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.websocket.close(code=int(code), reason=reason)
        except Exception as error:  # noqa: BLE001 - see above; the socket may be closed already
            logger.debug("closing a socket raised %s", type(error).__name__)
            abort = getattr(getattr(self.websocket, "transport", None), "abort", None)
            if abort is not None:  # a peer that reads nothing would keep a `websockets` connection open for ever
                abort()

    def _next(self) -> Frame | None:
        raise NotImplementedError

    def _clear(self) -> None:
        raise NotImplementedError


class StateWriter(SocketWriter):
    """A receiver of states: the newest of each upload, whatever the socket's pace."""

    def __init__(self, user_id: str, websocket: Any, *, limits: Limits, dropped: Callable[[SocketWriter], None]) -> None:
        super().__init__(user_id, websocket, limits=limits, dropped=dropped)
        self._outbox: ConflatingOutbox[Frame] = ConflatingOutbox()

    def put_state(self, upload_id: str, frame: Frame) -> None:
        if not self._ended:
            self._outbox.put_state(upload_id, frame)
            self._wake()

    def put_direct(self, frame: Frame) -> None:
        limits = self._limits
        if self._outbox.add_direct(frame, count_max=limits.direct_messages_max, bytes_max=limits.direct_bytes_max):
            self._wake()
        else:
            self._overflow()

    def discard(self, upload_id: str) -> None:
        self._outbox.discard(upload_id)

    def holds(self, upload_id: str) -> bool:
        return self._outbox.holds(upload_id)

    def _next(self) -> Frame | None:
        taken = self._outbox.take(1)
        return taken[0] if taken else None

    def _clear(self) -> None:
        self._outbox.clear()


class MessageWriter(SocketWriter):
    """A receiver of messages, each once and in order; see :class:`OrderedOutbox` for the one exception."""

    def __init__(self, user_id: str, websocket: Any, *, limits: Limits, dropped: Callable[[SocketWriter], None]) -> None:
        super().__init__(user_id, websocket, limits=limits, dropped=dropped)
        self._outbox = OrderedOutbox()

    def put(self, frame: Frame, gist: Gist) -> None:
        if self._ended:
            return
        if gist.progress_of is not None:
            self._outbox.add_progress(gist.progress_of, frame)
        elif not self._outbox.add(
            frame, ends=gist.ends, count_max=UNBROKERED_MESSAGES_MAX, bytes_max=self._limits.unbrokered_bytes_max
        ):
            self._overflow()
            return
        self._wake()

    def _next(self) -> Frame | None:
        return self._outbox.take()

    def _clear(self) -> None:
        self._outbox.clear()


def _sender(websocket: Any) -> Callable[[Frame], Awaitable[None]]:
    """How this socket takes text: ``send_text``, else ``send``, else ``send_json``."""
    if hasattr(websocket, "send_text"):
        return lambda frame: websocket.send_text(frame.text)  # type: ignore[no-any-return]
    if hasattr(websocket, "send"):
        return lambda frame: websocket.send(frame.text)  # type: ignore[no-any-return]
    return lambda frame: websocket.send_json(json.loads(frame.text))  # type: ignore[no-any-return]
