"""Sending to a socket whose send must be awaited: Starlette's, FastAPI's, ``websockets``' own.

One writer a socket, and a task only while something is pending: it drains the outbox in order, with a deadline on each send.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from vuemantics_ws.closing import RELOADING_REASON, CloseCode
from vuemantics_ws.core.outbox import ConflatingOutbox, OrderedOutbox
from vuemantics_ws.frame import Frame
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import Gist

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 1.0
"""What closing a socket may take before the connection is dropped without it."""

UNBROKERED_MESSAGES_MAX = 256

Dropped = Callable[["SocketWriter", CloseCode | None], None]
"""``dropped(writer, code)``: the socket is given up, and closed with this code if there is one."""


class Turns:
    """Tells a reader that does not keep up from a burst of calls that no writer has seen yet.

    A call that sends gives its sends two turns of the loop: a socket that takes at once has taken by then. What a finished
    call left waiting waits for a slow reader; what unfinished calls have put proves nothing.
    """

    def __init__(self) -> None:
        self.call = 1
        self.finished_call = 0

    async def two(self) -> None:
        """One turn starts a writer, the next sees it done."""
        call = self.call
        self.call += 1
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            self.finished_call = max(self.finished_call, call)


class _Fresh(NamedTuple):
    """A message that no finished call has put."""

    call: int
    frame: Frame
    gist: Gist


class SocketWriter:
    """A receiver of messages: each once, in order, while the reader keeps up.

    What waits for one that does not is bounded, and progress of an upload among it gives its place to newer progress; see
    :class:`OrderedOutbox`. ``dropped`` is called once, when the socket failed or more waited than may wait; never after
    :meth:`stop`.
    """

    def __init__(self, user_id: str, websocket: Any, *, limits: Limits, turns: Turns, dropped: Dropped) -> None:
        self.user_id = user_id
        self.websocket = websocket
        self._limits = limits
        self._turns = turns
        self._dropped = dropped
        self._send = _sender(websocket)
        self._messages_max = UNBROKERED_MESSAGES_MAX
        self._message_bytes_max = limits.unbrokered_bytes_max
        self._fresh: deque[_Fresh] = deque()  # after all that stands in line
        self._line = OrderedOutbox()
        self._lined_up = 0  # and not taken; what was replaced by newer progress counts on
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def conflated(self) -> int:
        """How many frames were replaced by newer ones before they left."""
        return self._line.conflated

    def put(self, frame: Frame, gist: Gist) -> None:
        """A message, to go out after all that were put before it."""
        if self._ended:
            return
        self._fresh.append(_Fresh(self._turns.call, frame, gist))
        if (self._line or self._fresh[0].call <= self._turns.finished_call) and not self._line_up():
            self._overflow()
        else:
            self._wake()

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

    def _line_up(self) -> bool:
        """The reader does not keep up: from here on there are bounds. Whether there was room."""
        line, count_max, bytes_max = self._line, self._messages_max, self._message_bytes_max
        while self._fresh:
            _, frame, gist = self._fresh.popleft()
            waiting = self._lined_up - line.conflated
            # Followed uploads and the ends between them stay far below this; progress of ever new uploads does not.
            if gist.progress_of is not None and waiting < self._limits.uploads_per_user_max + 3 * count_max:
                line.add_progress(gist.progress_of, frame)
            elif not line.add(frame, ends=gist.ends, count_max=count_max, bytes_max=bytes_max):
                return False
            self._lined_up += 1
        return True

    def _wake(self) -> None:
        if self._task is None and not self._ended:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    def _overflow(self) -> None:
        """More waits than may wait: the socket is closed with 4008 and dropped."""
        self.stop()
        close = self._close_socket(CloseCode.STALLED, "too many messages wait")
        self._closing = asyncio.get_running_loop().create_task(close)
        self._dropped(self, CloseCode.STALLED)

    async def _drain(self) -> None:
        try:
            while (frame := self._next()) is not None:
                async with asyncio.timeout(self._limits.stall_timeout_s):
                    await self._send(frame)
        except TimeoutError:
            await self._fail(CloseCode.STALLED, "took nothing for too long")
        except (Exception, asyncio.CancelledError) as error:
            # Whatever a stranger's socket raises concerns this socket alone, and is not to be taken for our own cancelling.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                self._end(None)
                raise
            logger.info("a connection was dropped: its send raised %s", type(error).__name__)
            await self._fail(CloseCode.INTERNAL_ERROR, "a send failed")
        finally:
            self._task = None

    async def _fail(self, code: CloseCode, reason: str) -> None:
        """Drop the connection, and close the socket too: one that is open and gets nothing more would look alive."""
        if not self._ended:
            self._end(code)
            await self._close_socket(code, reason)

    def _end(self, code: CloseCode | None) -> None:
        if not self._ended:
            self._ended = True
            self._clear()
            self._dropped(self, code)

    async def _close_socket(self, code: CloseCode, reason: str) -> None:
        """Close, or after a second abort. Waits for no longer, though the socket refuse to be cancelled as well."""
        closing = asyncio.get_running_loop().create_task(_close(self.websocket, code, reason))
        try:
            await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_S)
        finally:
            if not closing.done() or closing.cancelled() or not closing.result():
                closing.cancel()
                abort = getattr(getattr(self.websocket, "transport", None), "abort", None)
                if abort is not None:  # a peer that reads nothing would keep a `websockets` connection open for ever
                    abort()

    def _next(self) -> Frame | None:
        frame = self._line.take()
        if frame is not None:
            self._lined_up -= 1
        elif self._fresh:
            frame = self._fresh.popleft().frame
        return frame

    def _clear(self) -> None:
        self._fresh.clear()
        self._line.clear()


class StateWriter(SocketWriter):
    """A receiver of states as well: the newest of each upload, whatever the socket's pace. Messages go first."""

    def __init__(self, user_id: str, websocket: Any, *, limits: Limits, turns: Turns, dropped: Dropped) -> None:
        super().__init__(user_id, websocket, limits=limits, turns=turns, dropped=dropped)
        self._messages_max = limits.direct_messages_max
        self._message_bytes_max = limits.direct_bytes_max
        self._states: ConflatingOutbox[Frame] = ConflatingOutbox()

    @property
    def conflated(self) -> int:
        return self._states.conflated

    def put_state(self, upload_id: str, frame: Frame) -> None:
        if not self._ended:
            self._states.put_state(upload_id, frame)
            self._wake()

    def put_direct(self, frame: Frame) -> None:
        self.put(frame, Gist(None, None))

    def discard(self, upload_id: str) -> None:
        self._states.discard(upload_id)

    def holds(self, upload_id: str) -> bool:
        return self._states.holds(upload_id)

    def _next(self) -> Frame | None:
        frame = super()._next()
        if frame is None:
            frame = next(iter(self._states.take(1)), None)
        return frame

    def _clear(self) -> None:
        super()._clear()
        self._states.clear()


async def _close(websocket: Any, code: CloseCode, reason: str) -> bool:
    """Whether it could be closed: it may be closed already."""
    try:
        await websocket.close(code=int(code), reason=reason)
    except Exception as error:  # noqa: BLE001 - see above
        logger.debug("closing a socket raised %s", type(error).__name__)
        return False
    return True


def _sender(websocket: Any) -> Callable[[Frame], Awaitable[None]]:
    """How this socket takes text: ``send_text``, else ``send``, else ``send_json``."""
    if hasattr(websocket, "send_text"):
        return lambda frame: websocket.send_text(frame.text)
    if hasattr(websocket, "send"):
        return lambda frame: websocket.send(frame.text)
    return lambda frame: websocket.send_json(json.loads(frame.text))
