"""One connection to Redis: how it begins, what ends it, and what is said then."""

import asyncio
import gc
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.redis.hearing import LOOPS, Hearer, at, hearing, run, serving, until
from tests.redis_server import RedisServer, free_port
from vuemantics_ws.brokers.redis import link as link_module
from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.commands import Commands
from vuemantics_ws.brokers.redis.faults import cure_of
from vuemantics_ws.brokers.redis.link import REPLY_BYTES_MAX, Link
from vuemantics_ws.errors import BrokerAway


def address_of(port: int, **more: Any) -> RedisAddress:
    return RedisAddress("server", (Endpoint("127.0.0.1", port),), **more)


async def refused(address: RedisAddress) -> str:
    with pytest.raises(BrokerAway) as raised:
        await Link.open(address, address.endpoints[0])
    return raised.value.message


@pytest.mark.parametrize("loop", LOOPS)
def test_it_introduces_itself(redis: RedisServer, loop: str) -> None:
    async def main() -> None:
        link = await Link.open(at(redis.port), Endpoint("127.0.0.1", redis.port))

        name = await link.ask(b"CLIENT", b"GETNAME")

        assert name == b"vuemantics-ws"
        link.drop("done")

    run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_socket_file_is_as_good(tmp_path: Path, loop: str) -> None:
    async def main() -> None:
        path = str(tmp_path / "redis.sock")
        with RedisServer("--unixsocket", path) as own:
            address = RedisAddress("server", (), path=path)
            async with hearing(own.port, address=address) as (here, publish):
                (hearer,) = await here.subscribe(b"x")

                await publish(b"x", b"1")
                await until(lambda: hearer.told == [b"1"])

    run(main(), loop)


def test_user_and_password_are_told_and_never_quoted() -> None:
    async def main() -> None:
        with RedisServer() as own:
            own.cli("acl", "setuser", "node", "on", ">right", "allkeys", "allchannels", "allcommands")
            own.cli("acl", "setuser", "default", "off")
            right = address_of(own.port, username="node", password="right")
            link = await Link.open(right, right.endpoints[0])
            assert await link.ask(b"ACL", b"WHOAMI") == b"node"
            link.drop("done")

            none = await refused(address_of(own.port))
            wrong = await refused(address_of(own.port, username="node", password="wrong"))

            assert none == f"redis at 127.0.0.1:{own.port} wants a password"
            assert wrong == f"redis at 127.0.0.1:{own.port} refuses our user or password"

    run(main())


def test_a_user_who_may_not_hear_a_channel_is_said_to_be_one() -> None:
    async def main() -> None:
        with RedisServer() as own:
            own.cli("acl", "setuser", "node", "on", ">right", "allkeys", "resetchannels", "&canary-*", "allcommands")
            address = address_of(own.port, username="node", password="right")
            async with hearing(own.port, address=address) as (here, _):
                here.subscriptions.subscribe(b"x", _Nobody())

                reason = f"redis at 127.0.0.1:{own.port} does not let our user do what is needed"
                await until(lambda: here.condition.reason == reason)

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_tls_is_spoken_and_strangers_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: str) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip

    async def main() -> None:
        with RedisServer() as plain:
            tls_port = _speak_tls(plain, key, certificate)
            address = address_of(tls_port, tls=True)

            stranger = await refused(address)
            await _check_what_the_url_says(tls_port, certificate)
            monkeypatch.setenv("SSL_CERT_FILE", certificate)
            async with hearing(plain.port, address=address) as (here, publish):
                (hearer,) = await here.subscribe(b"x")
                await publish(b"x", b"1")
                await until(lambda: hearer.told == [b"1"])

            assert stranger.startswith(
                f"redis at 127.0.0.1:{tls_port} cannot be reached: TLS failed (certificate verify failed"
            )

    run(main(), loop)


async def _check_what_the_url_says(port: int, certificate: str) -> None:
    more: dict[str, Any]
    for more in ({"ca": certificate}, {"verify": False}):
        link = await Link.open(address_of(port, tls=True, **more), Endpoint("127.0.0.1", port))
        assert await link.ask(b"CLIENT", b"GETNAME") == b"vuemantics-ws"
        link.drop("done")
    missing = await refused(address_of(port, tls=True, ca="/nowhere.pem"))
    assert missing.endswith("a file that the URL names is missing")


def test_a_port_without_tls_is_silent_and_that_is_said(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CONNECT_TIMEOUT_S", 0.2)

    async def main() -> None:
        silence = await refused(address_of(redis.port, tls=True))

        assert silence == f"redis at 127.0.0.1:{redis.port} does not answer over TLS"
        assert "write redis://" in (cure_of(silence) or "")

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["link", "redis://", "redis+sentinel://", "redis+cluster://"])
def test_a_name_that_is_looked_up_for_too_long_leaves_nothing_that_the_loop_complains_of(loop: str, kind: str) -> None:
    host = "nowhere.invalid"
    scheme = "redis://" if kind == "link" else kind
    address = RedisAddress.read(f"{scheme}{host}" + ("/main" if "sentinel" in kind else ""))

    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        commands = Commands(address)

        async def ask() -> None:
            await (Link.open(address, address.endpoints[0]) if kind == "link" else commands.execute("GET", "k"))

        async def ask_and_give_up(turns: int) -> None:
            asking = running.create_task(ask())
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])

        for turns in range(1, 30):
            await ask_and_give_up(turns)
        await asyncio.gather(*(running.getaddrinfo(host, 1) for _ in range(16)), return_exceptions=True)
        await commands.close()
        gc.collect()

        assert complaints == []

    run(main(), loop)


def test_the_first_address_that_answers_is_taken(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async def two(host: str, port: int, **_: Any) -> list[Any]:
            return [(0, 0, 0, "", (each, port)) for each in ("127.0.0.9", "127.0.0.1")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)

        link = await Link.open(at(redis.port), Endpoint("two.invalid", redis.port))

        assert await link.ask(b"CLIENT", b"GETNAME") == b"vuemantics-ws"
        link.drop("done")

    run(main())


def _speak_tls(plain: RedisServer, key: str, certificate: str) -> int:
    port = free_port()
    said = plain.cli("config", "set", "tls-cert-file", certificate, "tls-key-file", key, "tls-auth-clients", "no",
                     "tls-ca-cert-file", certificate, "tls-port", str(port))  # fmt: skip
    if said.strip() != "OK":
        pytest.skip(f"this redis-server speaks no TLS: {said.strip()}")
    return port


def test_a_port_where_nobody_listens_is_said_to_be_one() -> None:
    async def main() -> None:
        said = await refused(address_of(1))

        assert said == "redis at 127.0.0.1:1 cannot be reached: connection refused"

    run(main())


def test_a_host_whose_name_is_not_known_is_said_to_be_one() -> None:
    async def main() -> None:
        address = RedisAddress("server", (Endpoint("no-such-host.invalid", 6379),))

        said = await refused(address)

        assert said == "redis at no-such-host.invalid:6379 cannot be reached: its name is not known"

    run(main())


def test_who_accepts_and_says_nothing_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        monkeypatch.setattr(link_module, "CONNECT_TIMEOUT_S", 0.1)
        async with serving(silent) as port:
            said = await refused(address_of(port))

            assert said == f"redis at 127.0.0.1:{port} does not answer"

    run(main())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks another protocol than Redis"),
        (b"$9999999999\r\n" + b"x" * (REPLY_BYTES_MAX + 1), f"sent a reply of more than {REPLY_BYTES_MAX} bytes"),
        (b"+OK\r\n+OK\r\n", "answered what nobody asked"),
        (b"-LOADING secret words\r\n", "is loading its data"),
        (b"-STRANGE secret words\r\n", "answered STRANGE"),
        (b"", "closed the connection"),
    ],
)
def test_an_absurd_answer_ends_the_connection(answer: bytes, expected: str) -> None:
    async def absurd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with serving(absurd) as port:
            address = address_of(port)
            try:
                link = await Link.open(address, address.endpoints[0])
            except BrokerAway as error:
                said = error.message
            else:
                said = await link.lost

            assert said == f"redis at 127.0.0.1:{port} {expected}"

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_socket_does_not_take_at_once_waits_in_order(loop: str) -> None:
    chunks = [b"%03d" % number * 30_000 for number in range(100)]

    async def main() -> None:
        taken = asyncio.Event()
        received = bytearray()

        async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1024)
            writer.write(b"+OK\r\n")
            await taken.wait()
            while data := await reader.read(65536):
                received.extend(data)

        async with serving(late) as port:
            address = address_of(port)
            link = await Link.open(address, address.endpoints[0])
            for chunk in chunks:
                link.send(chunk)

            assert sum(map(len, link._unsent)) > 1_000_000
            taken.set()
            await until(lambda: len(received) == sum(map(len, chunks)))

            assert bytes(received) == b"".join(chunks)
            link.drop("done")

    run(main(), loop)


@pytest.mark.slow
def test_a_server_that_does_not_confirm_is_left(redis: RedisServer) -> None:
    async def main() -> None:
        swallowing = True

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from_redis, to_redis = await asyncio.open_connection("127.0.0.1", redis.port)

            async def there() -> None:
                while data := await reader.read(65536):
                    if not (swallowing and b"lost-on-the-way" in data):
                        to_redis.write(data)

            async def back() -> None:
                while data := await from_redis.read(65536):
                    writer.write(data)

            try:
                await asyncio.gather(there(), back())
            finally:
                to_redis.transport.abort()

        async with serving(forward) as port:
            async with hearing(redis.port, address=address_of(port), canary_interval_s=0.1, canary_timeout_s=0.5) as (here, _):
                hearer = Hearer()
                here.subscriptions.subscribe(b"lost-on-the-way", hearer)
                await until(lambda: not here.condition.connected)
                assert here.condition.reason == f"redis at 127.0.0.1:{port} does not confirm what it was asked for"

                swallowing = False
                await until(lambda: hearer.subscribed == 1)
                await here.connected()

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_a_network_that_swallows_everything_is_noticed(redis: RedisServer, loop: str) -> None:
    async def main() -> None:
        open_ = asyncio.Event()
        open_.set()

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from_redis, to_redis = await asyncio.open_connection("127.0.0.1", redis.port)

            async def pour(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    if open_.is_set():
                        drain.write(data)

            try:
                await asyncio.gather(pour(reader, to_redis), pour(from_redis, writer))
            finally:
                to_redis.transport.abort()

        async with serving(forward) as port:
            async with hearing(redis.port, address=address_of(port), canary_interval_s=0.1, canary_timeout_s=0.5) as (
                here,
                publish,
            ):
                (hearer,) = await here.subscribe(b"x")

                open_.clear()
                await publish(b"x", b"swallowed")
                await until(lambda: here.condition.reason == f"redis at 127.0.0.1:{port} does not answer")
                open_.set()
                await until(lambda: hearer.subscribed == 2)
                await publish(b"x", b"1")
                await until(lambda: hearer.told == [b"1"])

                assert here.condition.gaps == 1

    run(main(), loop)


class _Nobody:
    def on_message(self, payload: bytes) -> None:
        raise AssertionError("nothing was published")

    def on_subscribed(self) -> None:
        raise AssertionError("it is forbidden")
