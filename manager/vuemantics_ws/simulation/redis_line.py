"""What the simulator itself says to Redis: a few commands over a connection of its own, to which no fault applies."""

import asyncio
from types import TracebackType
from typing import Self

from vuemantics_ws.errors import EnvironmentUnfit

ANSWER_TIMEOUT_S = 2.0

Answer = bytes | int | list["Answer"] | None


class RedisLine:
    """One connection, opened with the first command and again after whatever ended it. Use it as an async context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()

    async def ask(self, *command: bytes | str, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer:
        """One command and its answer.

        Raises:
            EnvironmentUnfit: Redis does not answer in time, or says no. What was asked may have been done.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._ask(command)
            except (OSError, EOFError, ValueError) as error:
                self.hang_up()
                raise EnvironmentUnfit(f"redis at port {self._address[1]} does not answer") from error
            except BaseException:
                self.hang_up()  # an answer that still comes must not be taken for the next one's
                raise

    async def next(self) -> Answer:
        """What Redis says unasked, to one that has subscribed. Waits as long as it takes.

        Raises:
            EnvironmentUnfit: the connection has ended.
        """
        if self._line is None:
            raise EnvironmentUnfit(f"nothing connects to redis at port {self._address[1]}")
        try:
            return await _read(self._line[0])
        except (OSError, EOFError, ValueError) as error:
            self.hang_up()
            raise EnvironmentUnfit(f"the connection to redis at port {self._address[1]} was lost") from error

    async def answers(self, *, within_s: float = ANSWER_TIMEOUT_S) -> bool:
        """Whether it answers a ping in time."""
        try:
            return await self.ask("PING", timeout_s=within_s) == b"PONG"
        except EnvironmentUnfit:
            return False

    async def flush(self) -> int:
        """Everything in it is gone, and nobody is told. Returns how many keys that were."""
        count = await self.ask("DBSIZE")
        await self.ask("FLUSHALL")
        assert isinstance(count, int)
        return count

    async def kill_pubsub(self) -> int:
        """End the connections of all subscribers. Returns how many."""
        count = await self.ask("CLIENT", "KILL", "TYPE", "pubsub")
        assert isinstance(count, int)
        return count

    async def _ask(self, command: tuple[bytes | str, ...]) -> Answer:
        if self._line is not None and (self._line[0].at_eof() or self._line[0].exception() is not None):
            self.hang_up()  # it ended since the last command, as a pool of redis-py would see before it takes a connection
        if self._line is None:
            self._line = await asyncio.open_connection(*self._address)
        reader, writer = self._line
        words = [word.encode() if isinstance(word, str) else word for word in command]
        writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
        return await _read(reader)

    def hang_up(self) -> None:
        """End the connection. The next command opens another."""
        if self._line is not None:
            self._line[1].transport.abort()
            self._line = None


async def _read(reader: asyncio.StreamReader) -> Answer:
    kind, rest = await _line(reader)
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind == b"-":
        raise EnvironmentUnfit(f"redis says {rest.split(b' ')[0].decode(errors='replace')}")
    count = int(rest)
    if count < 0:
        return None
    if kind == b"$":
        return (await reader.readexactly(count + 2))[:-2]
    if kind == b"*":
        return [await _read(reader) for _ in range(count)]
    raise ValueError("expected an answer in RESP 2")


async def _line(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    line = (await reader.readuntil(b"\r\n"))[:-2]
    return line[:1], line[1:]
