"""What the simulator itself says to Redis."""

import asyncio

from tests.brokers.redis.hearing import until
from tests.redis_server import RedisServer
from vuemantics_ws.simulation.redis_line import RedisLine


def test_a_connection_that_ended_between_two_commands_costs_neither_of_them(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with RedisLine("127.0.0.1", redis.port) as line:
            await line.ask("PING")
            assert line._line is not None
            reader, _ = line._line
            redis.cli("client", "kill", "type", "normal")
            await until(lambda: reader.at_eof() or reader.exception() is not None)

            assert await line.ask("PING") == b"PONG"

    asyncio.run(scenario())
