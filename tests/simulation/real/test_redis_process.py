"""A Redis of a run's own: what befalls it, and that it never outlives the run."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable

import pytest

from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.simulation.real.redis_process import RedisProcess

if shutil.which("redis-server") is None and not os.environ.get("CI"):
    pytest.skip("redis-server is missing: apt-get install redis-server, or brew install redis", allow_module_level=True)


def played(body: Callable[[RedisProcess], Awaitable[None]]) -> None:
    async def main() -> None:
        async with RedisProcess() as redis:
            await asyncio.wait_for(body(redis), 20)
        assert not await redis.line.answers(within_s=0.5)

    asyncio.run(main())


def test_it_is_there_and_then_it_is_not() -> None:
    async def body(redis: RedisProcess) -> None:
        assert await redis.line.answers()
        assert redis.url == f"redis://127.0.0.1:{redis.port}"

    played(body)


def test_a_kill_keeps_what_was_answered_and_losing_data_does_not() -> None:
    async def body(redis: RedisProcess) -> None:
        before = await redis.run_id()
        await redis.line.ask("SET", "key", b"value")

        assert await redis.kill() == -signal.SIGKILL
        assert not await redis.line.answers()
        await redis.start()
        assert await redis.line.ask("GET", "key") == b"value"
        assert await redis.run_id() != before

        await redis.kill()
        redis.lose_data()
        await redis.start()
        assert await redis.line.ask("GET", "key") is None

    played(body)


def test_while_it_is_paused_it_answers_nobody() -> None:
    async def body(redis: RedisProcess) -> None:
        redis.pause()
        assert not await redis.line.answers(within_s=0.1)
        redis.resume()

        assert await redis.line.answers()

    played(body)


def test_what_is_in_it_can_be_flushed() -> None:
    async def body(redis: RedisProcess) -> None:
        await redis.line.ask("MSET", "a", "1", "b", "2")

        assert await redis.flush() == 2
        assert await redis.line.ask("DBSIZE") == 0

    played(body)


def test_its_subscribers_can_be_thrown_out() -> None:
    async def body(redis: RedisProcess) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
        writer.write(b"SUBSCRIBE channel\r\n")
        await reader.readuntil(b":1\r\n")

        assert await redis.kill_pubsub() == 1
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    played(body)


def test_what_redis_refuses_is_told_without_what_was_asked() -> None:
    async def body(redis: RedisProcess) -> None:
        await redis.line.ask("SET", "secret-key", "text")

        with pytest.raises(EnvironmentUnfit, match=r"^redis says WRONGTYPE$"):
            await redis.line.ask("LPUSH", "secret-key", "x")

    played(body)


def test_where_there_is_no_redis_it_is_said_how_to_get_it() -> None:
    async def main() -> None:
        async with RedisProcess(program="no-such-redis"):
            pass

    with pytest.raises(EnvironmentUnfit) as unfit:
        asyncio.run(main())

    assert unfit.value.message == "no-such-redis is not on this machine, and this scenario needs it"
    assert "apt-get install redis-server" in (unfit.value.hint or "")


def test_it_ends_where_whoever_started_it_is_killed() -> None:
    program = """\
        import asyncio
        from vuemantics_ws.simulation.real.redis_process import RedisProcess
        async def main():
            async with RedisProcess() as redis:
                print(redis.port, flush=True)
                await asyncio.sleep(60)
        asyncio.run(main())
        """
    starter = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    port = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()

    async def gone() -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    return
                except ConnectionResetError:
                    continue  # it died with the connection in its hand
                writer.transport.abort()
                await asyncio.sleep(0.02)

    asyncio.run(gone())
