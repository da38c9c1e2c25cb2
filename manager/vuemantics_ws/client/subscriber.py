"""One real client of the public port (PROTOCOL.md sections 1 to 3)."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin

from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.client.endings import comes_back, ending_of
from vuemantics_ws.client.locations import START_ONE, check_url, is_local, reason_of, shown
from vuemantics_ws.errors import BadMessage, EnvironmentUnfit, Refused
from vuemantics_ws.messages import (
    Auth,
    ClientPong,
    Message,
    SubscribeUpload,
    UnsubscribeUpload,
    encode,
    read_server_message,
    upload_id_of,
)

MESSAGE_BYTES_MAX = 1024 * 1024
"""A server message is an event of at most 64 KiB with a version in it, or one that an application sends to a user."""


class Subscriber:
    """One conversation, from the first message to the end. Comes authenticated from :meth:`connect`.

    Answers the server's ping by itself. Being cancelled in :meth:`receive` loses no message.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.user_id = ""
        """Whom the server took us for."""

    @classmethod
    async def connect(cls, url: str, token: str, *, origin: str | None = None, timeout_s: float = 10.0) -> Self:
        """Connect and authenticate. The caller must close, or use the subscriber as a context manager.

        Raises:
            BadSetting: the URL is none of a WebSocket.
            EnvironmentUnfit: no server answers there in time, or something else does.
            Refused: the server said no: to the request, or to the token.
        """
        subscriber = cls(await _open(url, origin, timeout_s))
        try:
            async with asyncio.timeout(timeout_s):
                await subscriber._authenticate(token)
        except TimeoutError:
            await subscriber.close()
            raise EnvironmentUnfit(f"no answer to the auth message from {shown(url)} within {timeout_s:g} s") from None
        except BaseException:
            await subscriber.close()
            raise
        return subscriber

    async def subscribe(self, upload_id: str) -> None:
        """Ask to follow an upload. The answer, and the newest state if one is known, are received like everything else."""
        await self._send(SubscribeUpload(upload_id))

    async def unsubscribe(self, upload_id: str) -> None:
        """Give an upload up. What was sent before the answer may still be received before it."""
        await self._send(UnsubscribeUpload(upload_id))

    async def receive(self) -> dict[str, Any] | None:
        """The next message that is no ping; None after the server's normal close.

        Raises:
            ConnectionLost: the server or the way to it is gone.
            ConnectionClosedByServer: the server ended the conversation, with the meaning of its close code.
        """
        while True:
            try:
                message = read_server_message(await self._socket.recv(decode=False))
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == 1000:
                    return None
                raise ending_of(closed) from None
            except BadMessage as error:
                raise EnvironmentUnfit(f"this is no server of ours: {error.message}") from None
            if message["action"] != "ping":
                return message
            await self._send(ClientPong())

    async def close(self) -> None:
        """Say goodbye, or stop waiting for the other side's within a few seconds. Calling it twice does no harm."""
        await self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, message: Message) -> None:
        try:
            await self._socket.send(encode(message), text=True)
        except ConnectionClosed:
            pass  # what is still to be received comes first, and then the reason

    async def _authenticate(self, token: str) -> None:
        await self._send(Auth(token))
        said: str | None = None
        while True:
            try:
                message = read_server_message(await self._socket.recv(decode=False))
            except ConnectionClosed as closed:
                raise ending_of(closed, said=said) from None
            except BadMessage as error:
                raise EnvironmentUnfit(f"this is no server of ours: {error.message}") from None
            if message["action"] == "auth_success":
                self.user_id = str(message.get("user_id", ""))
                return
            if message["action"] == "auth_error":
                said = str(message.get("message", ""))


class Connected(NamedTuple):
    """A connection stands and every upload has been asked for; ``again`` after the first time."""

    user_id: str
    again: bool


class Waiting(NamedTuple):
    """The connection is gone, and the next try comes after a pause."""

    because: Exception
    pause_s: float
    tries: int
    tries_max: int


Notice = Connected | Waiting

TokenSource = Callable[[], Awaitable[str]]
"""Asked before each connection, since a token may have expired meanwhile."""


async def follow(
    url: str,
    upload_ids: Sequence[str],
    *,
    token: TokenSource,
    backoff: Backoff | None = None,
    dice: random.Random,
    notice: Callable[[Notice], None] = lambda _: None,
) -> AsyncGenerator[dict[str, Any], None]:
    """Every message about these uploads, for as long as a server sends them.

    With a ``backoff`` it comes back whenever the application's browser would, and begins to count anew after each success.
    Unlike that browser it repeats its subscriptions, so it does not depend on the server's grace time. Where the user follows
    an upload already, the newest state comes twice, on connecting and on subscribing; it is yielded once a connection. Use it
    under :func:`contextlib.aclosing`, so that leaving the loop closes the connection.

    Raises:
        EnvironmentUnfit: no server, or none any more, and no try is left.
        Refused: the server said no.
    """
    delays = backoff.delays(dice) if backoff is not None else iter(())
    tries, again = 0, False
    while True:
        try:
            async with await Subscriber.connect(url, await token()) as subscriber:
                for upload_id in upload_ids:
                    await subscriber.subscribe(upload_id)
                notice(Connected(subscriber.user_id, again))
                again, tries = True, 0
                delays = backoff.delays(dice) if backoff is not None else iter(())
                shown: dict[str, tuple[int, int]] = {}
                while (message := await subscriber.receive()) is not None:
                    if not _is_repeated(message, shown):
                        yield message
                return
        except (EnvironmentUnfit, Refused) as error:
            pause_s = next(delays, None) if comes_back(error) else None
            if pause_s is None:
                raise
            assert backoff is not None
            tries += 1
            notice(Waiting(error, pause_s, tries, backoff.tries_max))
            await asyncio.sleep(pause_s)


def _is_repeated(message: dict[str, Any], shown: dict[str, tuple[int, int]]) -> bool:
    """Whether this version of the upload was shown before; if not, it is noted as shown."""
    upload_id, attempt, seq = upload_id_of(message), message.get("attempt"), message.get("seq")
    if upload_id is None or not isinstance(attempt, int) or not isinstance(seq, int):
        return False
    if shown.get(upload_id) == (attempt, seq):
        return True
    shown[upload_id] = (attempt, seq)
    return False


async def _open(url: str, origin: str | None, timeout_s: float) -> ClientConnection:
    parts = check_url(url, setting="url", schemes=("ws", "wss"))
    try:
        return await connect(
            url,
            origin=Origin(origin) if origin is not None else None,
            compression=None,
            open_timeout=timeout_s,
            close_timeout=2,
            max_size=MESSAGE_BYTES_MAX,
            proxy=None if is_local(parts) else True,
        )
    except InvalidStatus as refused:
        status = refused.response.status_code
        said = " ".join(refused.response.body.decode(errors="replace").split())[:200]
        message = f"{shown(url)} answered HTTP {status}" + (f": {said}" if said else "")
        if status >= 500:
            raise EnvironmentUnfit(message, hint="the server is full or shuts down: come back later") from None
        hint = "the path of a server of ours is /ws/uploads" if status == 404 else None
        raise Refused(message, hint=hint) from None
    except TimeoutError:
        raise EnvironmentUnfit(f"no answer from {shown(url)} within {timeout_s:g} s", hint=START_ONE) from None
    except (InvalidHandshake, EOFError):
        raise EnvironmentUnfit(f"{shown(url)} speaks no WebSocket", hint="is it the right port?") from None
    except OSError as error:
        raise EnvironmentUnfit(f"no server at {shown(url)}: {reason_of(error)}", hint=START_ONE) from None
