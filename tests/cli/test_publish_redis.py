"""``publish --redis``: to all nodes around a Redis, without any server."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.cli.program import Outcome, free_port, run, start
from tests.publisher.nodes import hearing, stored, until
from tests.redis_server import RedisServer

PREFIX = "vuemantics-ws:"


@pytest.fixture(autouse=True)
def empty(redis: RedisServer) -> Iterator[None]:
    yield
    redis.cli("flushall")


def publish(redis: RedisServer, *arguments: str) -> Outcome:
    return run("publish", *arguments, "--redis", redis.url)


def test_the_verdict_is_printed_and_the_state_is_kept(redis: RedisServer, upload_id: str) -> None:
    outcome = publish(redis, upload_id, "50", "--owner", "alice")

    assert outcome == (0, f"accepted  {upload_id}  attempt 1 seq 1  nobody follows it\n", "")
    assert stored(redis, PREFIX, upload_id)["payload"]["stage"] == "description_audit"
    assert redis.cli("hget", f"{PREFIX}head:{{{upload_id}}}", "owner").strip() == "alice"


@pytest.mark.slow
def test_a_whole_run_is_told_to_the_nodes_that_follow(redis: RedisServer, upload_id: str) -> None:
    async def scene() -> Outcome:
        async with hearing(redis, PREFIX) as heard:
            process = start("publish", upload_id, "--run", "image", "--speed", "400x", "--json", "--redis", redis.url)
            out, err = await asyncio.to_thread(process.communicate, timeout=10)
            await until(lambda: heard.actions[-1:] == ["completed"])
            assert heard.versions == [(1, seq) for seq in range(1, len(heard.heads) + 1)]
            return Outcome(process.returncode, out, err)

    outcome = asyncio.run(scene())

    assert (outcome.code, outcome.err) == (0, "")
    assert {(line["verdict"], line["receivers"]) for line in outcome.objects} == {("accepted", 1)}


def test_what_is_dropped_exits_7(redis: RedisServer, upload_id: str) -> None:
    publish(redis, upload_id, "completed")

    after_the_end = publish(redis, upload_id, "60")
    stale = publish(redis, upload_id, "60", "--attempt", "1", "--seq", "1", "--json")

    assert (after_the_end.code, after_the_end.out) == (7, f"after_terminal  {upload_id}  attempt 1 seq 1\n")
    assert (stale.code, stale.objects[0]["verdict"]) == (7, "stale")


def test_prefixes_never_meet(redis: RedisServer, upload_id: str) -> None:
    publish(redis, upload_id, "50", "--redis-prefix", "other:")

    assert stored(redis, PREFIX, upload_id) == {}
    assert stored(redis, "other:", upload_id)["payload"]["progress_percent"] == 50


def test_redis_that_is_away_exits_3() -> None:
    port = free_port()

    outcome = run("publish", "new", "50", "--json", "--redis", f"redis://user:secret@127.0.0.1:{port}")

    assert (outcome.code, outcome.out) == (3, "")
    assert f"error: redis at 127.0.0.1:{port} does not answer" in outcome.err
    assert "secret" not in outcome.err


def test_a_variable_names_redis_unless_a_control_port_is_typed(
    redis: RedisServer, upload_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VUEMANTICS_WS_REDIS", redis.url)
    monkeypatch.setenv("VUEMANTICS_WS_REDIS_PREFIX", "mine:")

    to_redis = run("publish", upload_id, "50", "--json")
    to_server = run("publish", upload_id, "60", "--control", f"http://127.0.0.1:{free_port()}")

    assert to_redis.objects[0]["verdict"] == "accepted"
    assert stored(redis, "mine:", upload_id)["payload"]["progress_percent"] == 50
    assert to_server.code == 3
    assert "no server answers" in to_server.err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--redis", "http://localhost"], "expected a URL of Redis"),
        (["--redis", "redis://localhost", "--control", "http://127.0.0.1:1"], "expected --redis without --control"),
    ],
)
def test_what_cannot_be_meant_exits_2(options: list[str], error: str, upload_id: str) -> None:
    outcome = run("publish", upload_id, "50", *options)

    assert outcome.code == 2
    assert error in outcome.err


def test_json_is_what_a_server_would_have_said(redis: RedisServer, upload_id: str) -> None:
    outcome = publish(redis, upload_id, "50", "--json")

    assert json.loads(outcome.out) == {
        "upload_id": upload_id,
        "verdict": "accepted",
        "attempt": 1,
        "seq": 1,
        "receivers": 0,
        "stage": "description_audit",
        "progress_percent": 50,
    }
