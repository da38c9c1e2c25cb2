"""A simulated browser tab with the application's habits (PROTOCOL.md sections 1, 2 and 4).

It authenticates first, unless a script says otherwise, pings every 30 s, answers pings, comes back with backoff where the
application does, and never repeats a subscription. A request while its socket is not open is dropped silently, and so is a
message that it does not know. All of it goes to the log.

Light on purpose: no task but while a connection is made.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from websockets.uri import WebSocketURI

from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.client.endings import GONE_WITHOUT_A_WORD
from vuemantics_ws.client.locations import reason_of
from vuemantics_ws.closing import reconnects
from vuemantics_ws.errors import BadMessage
from vuemantics_ws.messages import ClientPong, Message, SubscribeUpload, UnsubscribeUpload
from vuemantics_ws.simulation.browser.script import WELL_BEHAVED, Performance
from vuemantics_ws.simulation.browser.socket import BrowserSocket
from vuemantics_ws.simulation.browser.validator import read
from vuemantics_ws.simulation.format.scenario import Step
from vuemantics_ws.simulation.log import ONE, Authenticated, Closed, Log, Opened, Sent, Undocumented, Unreachable, Unsent
from vuemantics_ws.simulation.network.dial import Dial

CONNECT_TIMEOUT_S = 10.0
"""What a connection may take, from the first packet to the upgrade."""

How = Literal["close", "abort", "vanish"]


class Browser:
    """One tab, from its opening to its end, over as many sockets as that takes.

    Must be made inside the loop that runs it. Nothing is left behind once :meth:`cut` was called and ``gone`` is done.

    Args:
        token: asked for what it authenticates with, each time anew; None shows nothing. It goes to the server and nowhere else.
        now: the time of the log in seconds; must go with the loop's.
        dice: for the jitter of the backoff alone.
        numbers: gives each connection of a run its number.
        script: what each of its connections does once it is open, before it is an ordinary tab.
        node: asked, whenever a connection is open, by which node.
        on_ready: called each time that it has become one: after ``auth_success`` and the script's last step.
    """

    def __init__(
        self,
        name: str,
        *,
        uri: WebSocketURI,
        token: Callable[[], str | None],
        dial: Dial,
        log: Log,
        now: Callable[[], float],
        dice: random.Random,
        numbers: Iterator[int],
        backoff: Backoff | None = None,
        script: Sequence[Step] = WELL_BEHAVED,
        on_ready: Callable[["Browser"], None] | None = None,
        node: Callable[[], str] = lambda: ONE,
    ) -> None:
        self.name = name
        self.rate_bytes_per_s: float | None = None
        self.reads = True
        self._uri = uri
        self._token = token
        self._dial = dial
        self._log = log
        self._now = now
        self._dice = dice
        self._numbers = numbers
        self._backoff = backoff or Backoff()
        self._script = script
        self._on_ready = on_ready
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._delays = self._backoff.delays(dice)
        self._socket: BrowserSocket | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._returning: asyncio.TimerHandle | None = None
        self._vanished: BrowserSocket | None = None
        self._performance: Performance | None = None
        self._is_welcome = False
        self._dialed_at = 0.0
        self._left = False
        self.gone: asyncio.Future[None] = self._loop.create_future()
        """Done when the tab was closed, or has given up."""

    @property
    def is_open(self) -> bool:
        """Whether a request would be sent."""
        return self._socket is not None and self._socket.is_open

    @property
    def was_opened(self) -> bool:
        return self._connecting is not None

    def open(self) -> None:
        """The tab is opened: connect, and go on as the application does until :meth:`leave`."""
        if not self._left:
            self._connecting = self._loop.create_task(self._connect())

    def subscribe(self, upload_id: str) -> bool:
        """Ask to follow an upload. Whether the request was sent."""
        return self._request("subscribe_upload", upload_id, SubscribeUpload(upload_id))

    def unsubscribe(self, upload_id: str) -> bool:
        """Give an upload up. Whether the request was sent."""
        return self._request("unsubscribe_upload", upload_id, UnsubscribeUpload(upload_id))

    def leave(self, how: How = "close") -> None:
        """The tab goes for good: with a goodbye, with a reset, or without a word.

        Whoever vanishes keeps its socket until :meth:`cut`, so that the server notices nothing.
        """
        if self._left:
            return
        self._left = True
        if self._returning is not None:
            self._returning.cancel()
        socket = self._socket
        if socket is None:
            self._end()
        elif not socket.is_open:
            self._give_up_connecting(socket)
        elif how == "close":
            socket.say_goodbye()
        elif how == "vanish":
            self._vanished = socket
            socket.fall_silent()
        else:
            socket.abort()

    def cut(self) -> None:
        """End without a word whatever is still there. Calling it twice does no harm."""
        self.leave("abort")
        for socket in (self._socket, self._vanished):
            if socket is not None:
                socket.abort()

    def lose_connection(self) -> bool:
        """Its connection is reset, and it comes back as it does after any loss. Whether there was one."""
        if self._socket is None or not self._socket.is_open:
            return False
        self._socket.reset()
        return True

    def pause_reading(self) -> None:
        """Take nothing more from the socket, nor from one that replaces it."""
        self.reads = False
        if self._socket is not None:
            self._socket.pause()

    def resume_reading(self) -> None:
        """Take what has come, and what comes."""
        self.reads = True
        if self._socket is not None:
            self._socket.resume()

    def read_at(self, rate_bytes_per_s: float | None) -> None:
        """Take about so many bytes a second from now on; None takes all that comes.

        Evenly only where the socket's receive buffer is small, as :mod:`vuemantics_ws.simulation.real.dialing` makes it.
        """
        self.rate_bytes_per_s = rate_bytes_per_s

    # What its sockets tell it.

    def opened(self, socket: BrowserSocket) -> None:
        self._log.append(Opened(self._now(), socket.number, self.name, self._dialed_at, self._node()))
        self._is_welcome = False
        self._performance = Performance(
            self._script,
            socket,
            token=self._token,
            said=lambda message: self._note(socket, message),
            over=self._end_script,
        )
        self._performance.go_on()

    def received(self, socket: BrowserSocket, data: bytes) -> None:
        now = self._now()
        try:
            received = read(data, at=now, connection=socket.number)
        except BadMessage as error:
            self._log.append(Undocumented(now, socket.number, error.message))
            return
        self._log.append(received)
        if received.action == "ping":
            socket.say(ClientPong())
        elif received.action == "auth_success":
            self._log.append(Authenticated(now, socket.number))
            self._delays = self._backoff.delays(self._dice)
            self._is_welcome = True
            if self._performance is None:
                self._be_ready()

    def refused(self, socket: BrowserSocket, reason: str) -> None:
        self._log.append(Unreachable(self._now(), self.name, reason))
        self._socket = None
        self._come_back(GONE_WITHOUT_A_WORD)

    def ended(self, socket: BrowserSocket, code: int, reason: str, *, server_closed: bool) -> None:
        by: Literal["browser", "server", "network"]
        by = "browser" if self._left else "server" if server_closed else "network"
        self._log.append(Closed(self._now(), socket.number, code, reason, by))
        self._socket = None
        if self._performance is not None:
            self._performance.stop()
        self._come_back(code)

    # How it connects, and comes back.

    async def _connect(self) -> None:
        self._dialed_at = self._now()
        socket = self._socket = BrowserSocket(self, self._uri, next(self._numbers))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._dial(lambda: socket)
                await socket.answered
        except TimeoutError:
            socket.abandon()
            self.refused(socket, f"no upgrade within {CONNECT_TIMEOUT_S:g} s")
        except OSError as error:
            self.refused(socket, reason_of(error))

    def _give_up_connecting(self, socket: BrowserSocket) -> None:
        """The tab is closed before it was connected, or while it says goodbye."""
        if self._connecting is not None and not socket.answered.done():
            self._connecting.cancel()
            self._socket = None
            socket.abandon()
            self._end()

    def _come_back(self, code: int) -> None:
        delay_s = None if self._left or not reconnects(code) else next(self._delays, None)
        if delay_s is None:
            self._end()
        else:
            self._returning = self._loop.call_later(delay_s, self.open)

    def _end(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    # What it says.

    def _end_script(self) -> None:
        self._performance = None
        if self._is_welcome:
            self._be_ready()

    def _be_ready(self) -> None:
        if self._on_ready is not None:
            self._on_ready(self)

    def _note(self, socket: BrowserSocket, message: Mapping[str, Any]) -> None:
        """A script's own request is one like any other."""
        action, upload_id = message.get("action"), message.get("upload_id")
        if action in ("subscribe_upload", "unsubscribe_upload") and isinstance(upload_id, str):
            self._log.append(Sent(self._now(), socket.number, action, upload_id))

    def _request(self, action: Literal["subscribe_upload", "unsubscribe_upload"], upload_id: str, message: Message) -> bool:
        socket = self._socket
        if socket is None or not socket.is_open:
            if not self._left:
                self._log.append(Unsent(self._now(), self.name, action, upload_id))
            return False
        self._log.append(Sent(self._now(), socket.number, action, upload_id))
        socket.say(message)
        return True
