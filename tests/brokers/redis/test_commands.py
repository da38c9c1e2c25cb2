"""What becomes of a command when Redis hangs, forgets, refuses, moves or is gone, against real servers."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.redis.relay import Relay
from tests.events import progress, read
from tests.redis_server import RedisCluster, RedisServer, SentinelSet, cli, free_port, wait_until
from vuemantics_ws.brokers.redis import faults
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.commands import Call, Commands, Script
from vuemantics_ws.brokers.redis.heads import Heads
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.errors import BrokerAway

TIMEOUT_S = 2.0


def script(text: str) -> Script:
    made = Script("read")
    made.text = text
    return made


ECHO = script("return ARGV[1]")
APPEND = script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
FAIL = script("return redis.error_reply('ERR secret ' .. ARGV[1])")


@asynccontextmanager
async def commands_at(url: str, *, timeout_s: float = TIMEOUT_S, connections_max: int = 16) -> AsyncIterator[Commands]:
    commands = Commands(RedisAddress.read(url), timeout_s=timeout_s, connections_max=connections_max)
    try:
        yield commands
    finally:
        await commands.close()


def with_commands(url: str, scenario: Callable[[Commands], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def run() -> None:
        async with commands_at(url, **options) as commands:
            await scenario(commands)

    asyncio.run(run())


def echo(text: str, key: str = "k") -> Call:
    return Call(ECHO, [key.encode()], [text])


def append(key: str, number: int) -> Call:
    return Call(APPEND, [key.encode()], [number])


async def keep_asking(commands: Commands, call: Call) -> Any:
    """As a publisher does, until it is answered."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await commands.run(call)
            except BrokerAway:
                await asyncio.sleep(0.1)


async def away(commands: Commands, call: Call | None = None) -> str:
    with pytest.raises(BrokerAway) as raised:
        await commands.run(call or append("k", 1))
    assert "secret" not in raised.value.message
    return raised.value.message.partition(" ")[2].partition(" ")[2].partition(" ")[2]


class TestScripts:
    def test_a_server_that_forgot_a_script_is_told_it_again(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            for text in ("first", "second"):
                redis.cli("script", "flush")

                assert await commands.run(echo(text)) == text.encode()

        with_commands(redis.url, scenario)

    def test_a_server_that_forgets_between_the_calls_of_one_round_trip(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(commands: Commands) -> None:
            async def forget() -> None:
                for _ in range(100):
                    await commands.execute("SCRIPT", "FLUSH")

            forgetting = asyncio.create_task(forget())
            for number in range(100):
                calls = [append(f"{prefix}{number}", index) for index in range(20)]
                assert await commands.run_all(calls) == list(range(1, 21))
            await forgetting

            assert redis.cli("lrange", f"{prefix}0", "0", "-1").split() == [str(index) for index in range(20)]

        with_commands(redis.url, scenario)

    def test_a_call_that_fails_leaves_the_others(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            first, second, third = await commands.run_all([echo("a"), Call(FAIL, [b"k"], ["payload"]), echo("c")])

            assert (first, third) == (b"a", b"c")
            assert isinstance(second, BrokerAway)
            assert "payload" not in second.message

        with_commands(redis.url, scenario)

    def test_plain_commands_and_messages(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(commands: Commands) -> None:
            assert await commands.execute("SET", f"{prefix}k", b"\x00v") == b"OK"
            assert await commands.execute("GET", f"{prefix}k") == b"\x00v"
            assert await commands.publish(b"nobody", b"hears") == 0

        with_commands(redis.url, scenario)


class TestConnections:
    def test_calls_wait_for_a_connection_and_none_fails(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            answers = await asyncio.gather(*(commands.run(echo(str(number))) for number in range(200)))

            assert answers == [str(number).encode() for number in range(200)]
            assert redis.cli("client", "list").count("name=") <= 4

        with_commands(redis.url, scenario, connections_max=3)

    def test_a_call_that_is_cancelled_leaves_nobody_its_answer(self, own_redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            await commands.run(echo("warm"))
            own_redis.pause()
            hanging = [asyncio.create_task(commands.run(echo(f"cancelled-{number}"))) for number in range(3)]
            await asyncio.sleep(0.05)  # until it is written
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
            own_redis.resume()

            answers = [await commands.run(echo(str(number))) for number in range(5)]

            assert answers == [str(number).encode() for number in range(5)]

        with_commands(own_redis.url, scenario, connections_max=1)

    def test_one_whose_return_was_cancelled_takes_no_place(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            await commands.run(echo("warm"))
            pool = commands._line._pool  # type: ignore[attr-defined]
            connection = await pool.get_connection()
            async with pool._lock:  # as while others are closed, which takes its time where the network is gone
                returning = asyncio.create_task(pool.release(connection))
                await asyncio.sleep(0)
                returning.cancel()
                await asyncio.wait([returning])

            assert await commands.run(echo("a")) == b"a"

        with_commands(redis.url, scenario, connections_max=1)

    def test_what_the_server_closed_meanwhile_is_opened_again(self, own_redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            await commands.run(echo("a"))
            await asyncio.to_thread(own_redis.restart)

            assert await commands.run(echo("b")) == b"b"

        with_commands(own_redis.url, scenario)

    def test_what_was_reset_meanwhile_is_opened_again(self, redis: RedisServer) -> None:
        async def run() -> None:
            async with Relay(redis.port) as relay, commands_at(relay.url) as commands:
                await asyncio.gather(*(commands.run(echo(str(number))) for number in range(4)))

                await relay.reset()
                for _ in range(8):  # turns in which it is heard
                    await asyncio.sleep(0)

                assert [await commands.run(echo(str(number))) for number in range(4)] == [b"0", b"1", b"2", b"3"]

        asyncio.run(run())

    def test_a_socket_file(self, prefix: str) -> None:
        with RedisServer("--unixsocket", "redis.sock") as server:

            async def scenario(commands: Commands) -> None:
                assert await commands.run(echo("a")) == b"a"

            with_commands(f"unix://{server.folder}/redis.sock?db=2", scenario)


class TestTrouble:
    def test_nobody_listens(self, own_redis: RedisServer) -> None:
        own_redis.kill()

        async def scenario(commands: Commands) -> None:
            assert await away(commands) == "does not answer: nobody listens there"

        with_commands(own_redis.url, scenario)

    def test_it_hangs(self, own_redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            await commands.run(echo("a"))
            own_redis.pause()
            said = await asyncio.gather(*(away(commands) for _ in range(5)))
            (result,) = await commands.run_all([echo("a")])
            own_redis.resume()

            assert set(said) == {"does not answer within 0.2 s"}
            assert isinstance(result, BrokerAway)
            assert await commands.run(echo("b")) == b"b"

        with_commands(own_redis.url, scenario, timeout_s=0.2, connections_max=2)

    def test_it_is_out_of_memory(self, own_redis: RedisServer, prefix: str) -> None:
        own_redis.cli("config", "set", "maxmemory", "1")

        async def scenario(commands: Commands) -> None:
            heads = Heads(commands, Keys(prefix), head_ttl_s=60, dice=random.Random(1))
            for version in (None, (1, 1)):
                with pytest.raises(BrokerAway, match=r"is out of memory \(maxmemory\)"):
                    await heads.publish(read(progress(version=version)))

            assert own_redis.cli("dbsize") == "0\n"

        with_commands(own_redis.url, scenario)

    @pytest.mark.slow
    def test_it_is_a_replica(self, redis: RedisServer) -> None:
        with RedisServer("--replicaof", "127.0.0.1", str(redis.port)) as replica:
            wait_until(lambda: "master_link_status:up" in replica.cli("info", "replication"), 10)

            async def scenario(commands: Commands) -> None:
                assert await away(commands) == "is a replica that takes no writes"
                replica.cli("replicaof", "no", "one")

                assert await commands.run(append("k", 1)) == 1

            with_commands(replica.url, scenario)

    def test_it_is_a_replica_without_its_master(self, own_redis: RedisServer) -> None:
        own_redis.cli("config", "set", "replica-serve-stale-data", "no")
        own_redis.cli("replicaof", "127.0.0.1", "1")

        async def scenario(commands: Commands) -> None:
            assert await away(commands) == "is a replica that has lost its master"

        with_commands(own_redis.url, scenario)

    @pytest.mark.slow
    def test_it_loads_its_data(self) -> None:
        slowly = ("--key-load-delay", "100", "--loading-process-events-interval-bytes", "1024")
        with RedisServer("--enable-debug-command", "yes", *slowly) as server:
            server.cli("debug", "populate", "100000")
            server.cli("save")
            server.restart()

            async def scenario(commands: Commands) -> None:
                assert await away(commands) == "is loading its data"

            with_commands(server.url, scenario)

    @pytest.mark.parametrize(
        ("credentials", "said"),
        [
            ("", "wants a password"),
            (":secret@", "takes neither this user nor this password"),
            ("ann:secret@", "takes neither this user nor this password"),
        ],
    )
    def test_it_wants_another_password(self, own_redis: RedisServer, credentials: str, said: str) -> None:
        own_redis.cli("config", "set", "requirepass", "hunter2")

        async def scenario(commands: Commands) -> None:
            assert await away(commands) == said

        with_commands(own_redis.url.replace("//", f"//{credentials}"), scenario)

    def test_a_command_of_many_words_is_told_the_same(self, own_redis: RedisServer) -> None:
        own_redis.cli("config", "set", "requirepass", "hunter2")

        async def scenario(commands: Commands) -> None:
            with pytest.raises(BrokerAway, match="wants a password"):
                await commands.run(Call(ECHO, [b"k"], ["a"] * 20))

        with_commands(own_redis.url, scenario)

    def test_a_password_too_many(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            assert await away(commands) == "has no password, but got one"

        with_commands(redis.url.replace("//", "//:secret@"), scenario)

    def test_a_name_that_does_not_resolve(self) -> None:
        async def scenario(commands: Commands) -> None:
            assert await away(commands) == "is not found: its name does not resolve"

        with_commands("redis://nowhere.invalid", scenario)

    def test_a_database_that_there_is_not(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            assert await away(commands) == "has no such database"

        with_commands(redis.url + "/99", scenario)

    def test_a_single_server_is_no_cluster(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            with pytest.raises(BrokerAway, match="is no Redis Cluster"):
                await commands.run(echo("a"))

        with_commands(redis.url.replace("redis:", "redis+cluster:"), scenario)

    def test_a_single_server_is_no_sentinel(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            with pytest.raises(BrokerAway, match="are no Sentinels") as raised:
                await commands.run(echo("a"))

            assert raised.value.hint is not None
            assert "redis://" in raised.value.hint

        with_commands(redis.url.replace("redis:", "redis+sentinel:") + "/main", scenario)


class TestPermissions:
    def rules(self, prefix: str) -> list[str]:
        hint = faults.PERMISSION_HINT.replace("prefix", prefix)
        return hint.removeprefix("ACL SETUSER name ").split()

    def test_the_least_that_a_user_needs_is_enough(self, own_redis: RedisServer) -> None:
        own_redis.cli("acl", "setuser", "node", "on", *self.rules("ws:"))

        async def scenario(commands: Commands) -> None:
            heads = Heads(commands, Keys("ws:"), head_ttl_s=60, dice=random.Random(1))
            await heads.publish(read(progress(), "ann"))
            receipts: Sequence[Any] = await heads.publish_all([read(progress(number=number)) for number in range(70)])
            (stored,) = await heads.read([progress_id()], 0)
            results = await heads.reconcile([(progress_id(), stored)], 0)  # type: ignore[list-item]
            await heads.renew([progress_id()])

            assert not [item for item in (*receipts, stored, *results) if isinstance(item, Exception)]
            assert await commands.publish(Keys("ws:").nodes_channel, b"") == 0

        with_commands(own_redis.url.replace("//", "//node:password@"), scenario)
        assert own_redis.cli("acl", "log").strip() == ""

    @pytest.mark.parametrize(
        ("without", "prefix", "said"),
        [
            ("+evalsha", "ws:", "does not permit this user the command evalsha"),
            ("+hset", "ws:", "does not permit this user "),
            ("", "other:", "does not permit this user our keys"),
        ],
    )
    def test_what_a_user_lacks_is_said(self, own_redis: RedisServer, without: str, prefix: str, said: str) -> None:
        own_redis.cli("acl", "setuser", "node", "on", *(rule for rule in self.rules("ws:") if rule != without))

        async def scenario(commands: Commands) -> None:
            heads = Heads(commands, Keys(prefix), head_ttl_s=60, dice=random.Random(1))
            with pytest.raises(BrokerAway) as raised:
                await heads.publish(read(progress()))

            assert said in raised.value.message
            assert progress_id() not in raised.value.message

        with_commands(own_redis.url.replace("//", "//node:password@"), scenario)


def progress_id() -> str:
    return read(progress()).upload_id


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-out",
        str(certificate),
        "-keyout",
        str(key),
    ]
    subprocess.run([*made, *subject], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def port(certificate: tuple[Path, Path]) -> Iterator[int]:
    """Where TLS is spoken."""
    port = free_port()
    files = ("--tls-cert-file", str(certificate[0]), "--tls-key-file", str(certificate[1]), "--tls-auth-clients", "no")
    with RedisServer("--tls-port", str(port), *files):
        yield port


class TestTLS:
    def test_a_certificate_is_verified_with_the_authorities_of_a_file(self, port: int, certificate: tuple[Path, Path]) -> None:
        async def scenario(commands: Commands) -> None:
            assert await commands.run(echo("a")) == b"a"

        with_commands(f"rediss://127.0.0.1:{port}?ca={certificate[0]}", scenario)
        with_commands(f"rediss://127.0.0.1:{port}?verify=none", scenario)

    def test_one_that_nobody_vouches_for_is_refused(self, port: int) -> None:
        async def scenario(commands: Commands) -> None:
            assert "has a certificate that cannot be verified" in await away(commands)

        with_commands(f"rediss://127.0.0.1:{port}", scenario)

    def test_a_server_without_tls(self, redis: RedisServer) -> None:
        async def scenario(commands: Commands) -> None:
            with pytest.raises(BrokerAway, match=r"does not answer within 0\.2 s over TLS") as raised:
                await commands.run(echo("a"))
            assert raised.value.hint == "a port without TLS is silent: write redis:// for it"

        with_commands(redis.url.replace("redis:", "rediss:"), scenario, timeout_s=0.2)

    def test_a_file_that_is_missing(self, port: int) -> None:
        async def scenario(commands: Commands) -> None:
            assert "a file that the URL names is missing" in await away(commands)

        with_commands(f"rediss://127.0.0.1:{port}?ca=/nowhere.pem", scenario)


@pytest.mark.slow
class TestSentinels:
    def test_commands_follow_the_master(self, sentinels: SentinelSet) -> None:
        async def scenario(commands: Commands) -> None:
            assert await commands.run(append("k", 1)) == 1
            old = sentinels.master_port()
            wait_until(lambda: "OK" in cli(sentinels.sentinels[0].port, "sentinel", "failover", "main"), 10)
            wait_until(lambda: sentinels.master_port() != old, 20)
            wait_until(lambda: "role:slave" in cli(old, "info", "replication"), 20)

            await keep_asking(commands, append("k", 2))

            assert cli(sentinels.master_port(), "lrange", "k", "0", "-1").split() == ["1", "2"]

        with_commands(sentinels.url, scenario)

    def test_each_of_them_is_still_asked_after_many_commands_could_not_ask_the_first(self, sentinels: SentinelSet) -> None:
        async def scenario(commands: Commands) -> None:
            first, *others = sentinels.sentinels
            first.kill()
            await asyncio.gather(*(commands.run(echo(f"{number}")) for number in range(16)))
            first.start()
            for other in others:
                other.kill()
            sentinels.master.cli("client", "kill", "type", "normal")

            assert await keep_asking(commands, echo("a")) == b"a"

        with_commands(sentinels.url, scenario)

    def test_a_master_that_they_do_not_know(self, sentinels: SentinelSet) -> None:
        async def scenario(commands: Commands) -> None:
            with pytest.raises(BrokerAway, match="is not known to its Sentinels"):
                await commands.run(echo("a"))

        with_commands(sentinels.url.replace("/main", "/other"), scenario)


@pytest.mark.slow
class TestClusters:
    def test_calls_to_all_servers_are_answered_in_order(self, redis_cluster: RedisCluster, prefix: str) -> None:
        async def scenario(commands: Commands) -> None:
            calls = [append(f"{prefix}{number % 30}", number) for number in range(300)]

            answers = await commands.run_all(calls)

            assert answers == [number // 30 + 1 for number in range(300)]
            for server in redis_cluster.servers:
                server.cli("script", "flush")
            assert await commands.run_all([echo(str(number), f"{number}") for number in range(30)]) == [
                str(number).encode() for number in range(30)
            ]

        with_commands(redis_cluster.url, scenario)

    def test_a_slot_that_moves_is_followed_while_it_moves_and_after(self) -> None:
        with RedisCluster() as cluster:

            async def scenario(commands: Commands) -> None:
                first = await asyncio.gather(*(commands.run(append("k", number)) for number in range(8)))
                assert sorted(first) == list(range(1, 9))
                slot = cluster.servers[0].cli("cluster", "keyslot", "k").strip()
                source = next(server for server in cluster.servers if server.cli("dbsize") == "1\n")
                target = next(server for server in cluster.servers if server is not source)
                ids = {server.port: server.cli("cluster", "myid").strip() for server in cluster.servers}
                target.cli("cluster", "setslot", slot, "importing", ids[source.port])
                source.cli("cluster", "setslot", slot, "migrating", ids[target.port])
                assert await commands.run(append("k", 8)) == 9
                source.cli("migrate", "127.0.0.1", str(target.port), "k", "0", "1000")

                asked = await asyncio.gather(*(commands.run(append("k", number)) for number in range(8)))
                for server in (target, source):
                    server.cli("cluster", "setslot", slot, "node", ids[target.port])
                moved = await commands.run_all([append("k", number) for number in range(3)])

                assert sorted(asked) == list(range(10, 18))
                assert moved == [18, 19, 20]

            with_commands(cluster.url, scenario)

    def test_a_server_that_is_gone_takes_only_its_own_calls(self) -> None:
        with RedisCluster("--cluster-require-full-coverage", "no") as cluster:

            async def scenario(commands: Commands) -> None:
                calls = [echo(str(number), str(number)) for number in range(30)]
                await commands.run_all(calls)
                cluster.servers[2].kill()

                answers = await commands.run_all(calls)

                assert {isinstance(answer, BrokerAway) for answer in answers} == {True, False}

            with_commands(cluster.url, scenario)
