"""Ids that would be patterns, lines or other channels if anybody took them for such: refused, wherever they come in."""

import json
from typing import Any

import pytest

from tests.gateway.clustered import until
from tests.gateway.nodes import browser, event
from tests.gateway.outages.stage import run, said, stage
from tests.redis_server import RedisServer
from vuemantics_ws.errors import BadEvent

HOSTILE = {
    "a pattern": "*",
    "a pattern of one": "u?",
    "a set": "u[0-9]",
    "another channel": "u0:x",
    "a hash tag": "{u0}",
    "its end": "u0}",
    "a line": "u0\n",
    "a header": "u0 1 1 - x",
    "NUL": "u0\0",
    "ten thousand": "u" * 10_000,
    "a look-alike": "ｕ0",
    "an accent": "u0\u0301",
    "a space": "u0 ",
    "nothing": "",
}


def channels(redis: RedisServer, prefix: str) -> set[str]:
    return set(redis.cli("pubsub", "channels", f"{prefix}state:*").split())


@pytest.mark.slow
def test_a_browser_cannot_follow_one(redis: RedisServer, prefix: str) -> None:
    async def act() -> None:
        async with stage(redis.url, prefix=prefix, tabs=1) as here:
            before = channels(redis, prefix)
            async with browser(here.members[0].node, "mallory") as client:
                answers = [await client.subscribe(upload_id) for upload_id in HOSTILE.values()]
                known = await client.subscribe("u0")

            assert [answer.get("code") for answer in answers] == ["bad_message"] * len(HOSTILE)
            assert known["action"] == "subscribed"
            assert len(before) == 8
            assert channels(redis, prefix) == before

    run(act)


@pytest.mark.slow
def test_a_publisher_cannot_say_one(redis: RedisServer, prefix: str) -> None:
    """Neither at the control port nor on a plain channel, whatever either of the two calls the upload."""

    def plain(channel: str, upload_id: str) -> tuple[str, bytes]:
        return f"{prefix}upload:{channel}", event("u0").replace(b'"u0"', json.dumps(upload_id).encode())

    async def act() -> None:
        async with stage(redis.url, prefix=prefix, tabs=1) as here:
            node, tab = here.members[0].node, here.tabs[0]
            refused: list[str] = []
            for name, upload_id in HOSTILE.items():
                try:
                    await here.members[0].control.publish(plain("", upload_id)[1])
                except BadEvent:
                    refused.append(name)
            commands: Any = here.brokers[0].commands
            messages = [
                *(plain(upload_id, upload_id) for upload_id in HOSTILE.values()),
                *(plain(upload_id, "u0") for upload_id in HOSTILE.values()),
                *(plain("u0", upload_id) for upload_id in HOSTILE.values()),
            ]
            for channel, payload in messages:
                await commands.execute("PUBLISH", channel.encode(), payload)
            await commands.execute("PUBLISH", f"{prefix}upload:u0", said("u0"))
            await until(lambda: tab.newest("u0") is not None)

            assert refused == list(HOSTILE)
            assert sum(node.broker.adopted.values()) == len(messages) + 1
            assert node.broker.adopted["accepted"] == 1
            assert [len(heard) for heard in tab.heard.values()] == [1]
            assert redis.cli("keys", f"{prefix}head:*").split() == [f"{prefix}head:{{u0}}"]

    run(act)
