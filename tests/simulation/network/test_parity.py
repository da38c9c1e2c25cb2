"""A transport in memory tells its protocol the same things in the same order as asyncio's over a socket does."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from tests.connection_manager.loops import turns
from tests.simulation.network.worlds import End, Ends, port_of, run_virtually
from vuemantics_ws.simulation.network.resetting import reset

Heard = list[Any]
Program = Callable[[], Coroutine[Any, Any, Heard]]

MUCH = 8 * 1024 * 1024
"""More than the kernels of both sides and all buffers take together."""

PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


class Pair(NamedTuple):
    """A client's end and the server's, connected."""

    client: End
    server: End
    listening: Any


PAIRS: list[Pair] = []
"""Those of the program that runs."""


async def connected(make: Callable[[], End] = End, accept: Callable[[], End] = End) -> Pair:
    loop = asyncio.get_running_loop()
    ends = Ends(accept)
    listening = await loop.create_server(ends, "127.0.0.1", 0)
    _, client = await loop.create_connection(make, "127.0.0.1", port_of(listening))
    PAIRS.append(Pair(client, await ends.first(), listening))
    return PAIRS[-1]


@program
async def a_question_an_answer_and_a_goodbye() -> Heard:
    pair = await connected()
    pair.server.on_data = pair.server.transport.write

    pair.client.transport.write(b"hello")
    await pair.client.has(5)
    pair.client.transport.close()
    pair.client.transport.write(b"nobody hears this")
    await pair.server.lost()

    return [pair.client.heard, pair.client.data, pair.server.heard, pair.client.is_lost]


@program
async def what_is_written_before_anybody_reads() -> Heard:
    pair = await connected(
        lambda: End(lambda end: end.transport.write(b"first")), lambda: End(lambda end: end.transport.write(b"welcome"))
    )

    await pair.server.has(5)
    await pair.client.has(7)
    pair.server.transport.close()
    await pair.client.lost()

    return [pair.client.heard, pair.server.heard]


@program
async def one_half_ends_and_the_other_goes_on() -> Heard:
    pair = await connected(accept=lambda: End(keeps_open=True))

    pair.client.transport.write(b"all")
    pair.client.transport.write_eof()
    await pair.server.hears("end")
    pair.server.transport.write(b"the rest")
    await pair.client.has(8)
    with pytest.raises(RuntimeError) as refused:
        pair.client.transport.write(b"more")
    pair.server.transport.close()
    await pair.client.lost()
    await pair.server.lost()

    return [pair.client.heard, pair.server.heard, pair.client.data, str(refused.value)]


@program
async def aborted_with_nothing_unread() -> Heard:
    pair = await connected()

    pair.client.transport.abort()
    states = [pair.client.transport.is_closing(), pair.client.transport.is_reading(), pair.client.is_lost]
    await pair.server.lost()

    return [pair.client.heard, pair.server.heard, states]


@program
async def cut_with_a_reset() -> Heard:
    pair = await connected()

    pair.client.transport.write(b"last words")
    await pair.server.has(10)
    reset(pair.client.transport)
    await pair.server.lost()

    return [pair.client.heard, pair.server.heard]


@program
async def closed_with_something_unread() -> Heard:
    pair = await connected(accept=lambda: End(lambda end: end.transport.pause_reading()))
    pair.client.transport.write(b"unread")
    await turns(5)

    pair.server.transport.close()
    await pair.client.lost()

    return [pair.client.heard, pair.server.heard]


@program
async def written_to_who_has_gone() -> Heard:
    pair = await connected(lambda: End(lambda end: end.transport.pause_reading()))

    pair.server.transport.close()
    await pair.server.lost()
    pair.client.transport.write(b"are you there?")
    await turns(5)
    unaware = not pair.client.is_lost
    pair.client.transport.write(b"are you?")
    await pair.client.lost()

    return [unaware, pair.client.heard[0], pair.client.is_lost]


@program
async def a_reader_that_rests() -> Heard:
    pair = await connected(accept=lambda: End(lambda end: end.transport.pause_reading()))

    pair.client.transport.write(bytes(MUCH))
    full = [pair.client.heard[-1], pair.client.transport.get_write_buffer_size() > 0]
    pair.server.transport.resume_reading()
    await pair.server.has(MUCH)
    await pair.client.hears("resume")
    pair.client.transport.close()
    await pair.server.lost()

    return [full, pair.client.heard, pair.server.heard, len(pair.server.data)]


@program
async def closed_with_much_to_send() -> Heard:
    pair = await connected(accept=lambda: End(lambda end: end.transport.pause_reading()))

    pair.client.transport.write(bytes(MUCH))
    pair.client.transport.close()
    await turns(5)
    before = list(pair.client.heard)
    pair.server.transport.resume_reading()
    await pair.server.lost()
    await pair.client.lost()

    return [before, pair.client.heard, pair.server.heard, len(pair.server.data)]


@program
async def no_more_comes_after_much() -> Heard:
    pair = await connected(accept=lambda: End(lambda end: end.transport.pause_reading()))

    pair.client.transport.write(bytes(MUCH))
    pair.client.transport.write_eof()
    pair.server.transport.resume_reading()
    await pair.server.lost()
    await pair.client.lost()

    return [pair.client.heard, pair.server.heard, len(pair.server.data)]


@program
async def aborted_with_much_to_send() -> Heard:
    pair = await connected(accept=lambda: End(lambda end: end.transport.pause_reading()))

    pair.client.transport.write(bytes(MUCH))
    pair.client.transport.abort()
    left = pair.client.transport.get_write_buffer_size()
    await pair.client.lost()
    pair.server.transport.resume_reading()
    await pair.server.lost()

    return [left, pair.client.heard, pair.server.heard, 0 < len(pair.server.data) < MUCH]


@program
async def small_marks() -> Heard:
    pair = await connected(accept=lambda: End(lambda end: end.transport.pause_reading()))
    transport = pair.client.transport

    transport.set_write_buffer_limits(high=1000)
    first = transport.get_write_buffer_limits()
    transport.set_write_buffer_limits(low=500)
    second = transport.get_write_buffer_limits()
    transport.set_write_buffer_limits(high=0)
    with pytest.raises(ValueError):
        transport.set_write_buffer_limits(high=1, low=2)
    with pytest.raises(TypeError):
        transport.write("text")
    transport.write(bytes(MUCH))
    transport.set_write_buffer_limits(high=2 * MUCH)
    pair.server.transport.resume_reading()
    await pair.client.hears("resume")
    transport.close()
    await pair.server.lost()

    return [first, second, pair.client.heard]


@program
async def reading_paused_in_the_middle() -> Heard:
    pair = await connected()

    def once(data: bytes) -> None:
        pair.server.transport.pause_reading()
        pair.server.transport.pause_reading()

    pair.server.on_data = once
    pair.client.transport.write(b"one")
    await pair.server.has(3)
    pair.client.transport.write(b"two")
    pair.client.transport.close()
    await turns(5)
    before = [pair.server.data, pair.server.transport.is_reading()]
    pair.server.on_data = lambda data: None
    pair.server.transport.resume_reading()
    pair.server.transport.resume_reading()
    await pair.server.lost()

    return [before, pair.server.data, pair.server.heard]


@program
async def a_protocol_that_fails() -> Heard:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(str(context["message"])))
    pair = await connected()

    def fail(data: bytes) -> None:
        raise KeyError("a fault")

    pair.server.on_data = fail
    pair.client.transport.write(b"hello")
    await pair.client.lost()

    return [complaints, pair.client.heard, pair.server.heard]


@program
async def a_server_that_closes_keeps_its_connections() -> Heard:
    pair = await connected()
    port = port_of(pair.listening)

    pair.listening.close()
    pair.client.transport.write(b"still here")
    await pair.server.has(10)
    with pytest.raises(ConnectionRefusedError) as refused:
        await asyncio.get_running_loop().create_connection(End, "127.0.0.1", port)
    pair.client.transport.close()
    await pair.server.lost()

    return [str(refused.value).replace(str(port), "PORT"), pair.listening.is_serving(), pair.server.heard]


@program
async def a_buffer_of_its_own() -> Heard:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(4)
            self.came = b""
            self.done = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.came += self.buffer[:nbytes]

        def connection_lost(self, exc: Exception | None) -> None:
            self.done.set_result(exc)

    loop = asyncio.get_running_loop()
    ends = Ends()
    listening = await loop.create_server(ends, "127.0.0.1", 0)
    _, buffered = await loop.create_connection(Buffered, "127.0.0.1", port_of(listening))
    server = await ends.first()
    server.transport.write(b"ten bytes.")
    server.transport.close()
    listening.close()

    return [await buffered.done, buffered.came]


@program
async def streams() -> Heard:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.writelines([b"one ", bytearray(b"two "), memoryview(b"three\n")])
    line = await reader.readline()
    writer.write_eof()
    rest = await reader.read()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()

    return [line, rest]


async def _run(main: Program) -> Heard:
    PAIRS.clear()
    async with asyncio.timeout(10):
        heard = copy.deepcopy(await main())
        for pair in PAIRS:
            pair.listening.close()
            for end in (pair.client, pair.server):
                if not end.is_lost:
                    end.transport.abort()
                    await end.lost()
        await asyncio.sleep(0)  # a socket is closed after its protocol has heard of it
    return heard


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_the_same_as_over_a_socket(name: str) -> None:
    over_sockets = asyncio.run(_run(PROGRAMS[name]))
    in_memory = run_virtually(lambda network: _run(PROGRAMS[name]))

    assert in_memory == over_sockets
