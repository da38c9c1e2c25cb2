"""A node dies without a word, and its users go on at another."""

import asyncio
import os
import signal

import pytest
from websockets.asyncio.client import connect

from tests.benchmarks.node import SECRET, node, token
from tests.gateway.clustered import until
from tests.gateway.nodes import Client
from tests.gateway.outages.browsing import Tab
from tests.gateway.outages.stage import UPLOADS, run, stage
from tests.redis_server import RedisServer


def followed(redis: RedisServer, prefix: str) -> set[int]:
    """By how many nodes each upload is."""
    answer = redis.cli("pubsub", "numsub", *(f"{prefix}state:{{{upload_id}}}" for upload_id in UPLOADS)).split()
    return set(map(int, answer[1::2]))


@pytest.mark.slow
def test_what_its_users_follow_ends_at_the_node_to_which_they_return(redis: RedisServer, prefix: str) -> None:
    async def act() -> None:
        with node(redis=redis.url, redis_prefix=prefix, plain_prefix=prefix) as dying:
            async with stage(redis.url, prefix=prefix, tabs=1, secret=SECRET) as here:
                async with connect(f"ws://127.0.0.1:{dying.port}/ws/uploads", proxy=None, compression=None) as socket:
                    client = Client(socket)
                    await client.send(type="auth", token=token("b0"))
                    assert (await client.next())["action"] == "auth_success"
                    there = Tab(client)
                    listening = asyncio.ensure_future(there.listen())
                    await there.follow(*UPLOADS)
                    await until(lambda: len(there.known) == len(UPLOADS))
                    here.stream.flow()
                    await until(lambda: len(there.heard) == len(UPLOADS))
                    before = followed(redis, prefix)

                    os.kill(dying.pid, signal.SIGKILL)
                    await listening
                    await until(lambda: followed(redis, prefix) == {1})
                    returned = await here.open_tab(here.members[0], "b0", *UPLOADS)
                    await here.finish()

                    assert before == {2}
                    assert there.close_code == 1006
                    assert all(returned.known.values())
                    assert here.stream.refused == 0
                    for upload_id in UPLOADS:
                        assert there.heard[upload_id][-1].version <= returned.heard[upload_id][0].version

    run(act)
