"""The stream for whoever watches a node: what a frame holds, what it warns of, and that it costs the others nothing."""

import asyncio
import gc
import json
import socket
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.gateway.controlled import raw, until
from tests.gateway.inspected import Later, frozen, inspected
from tests.gateway.nodes import browser, event
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.inspection import Inspection, Question
from vuemantics_ws.gateway.inspection_answers import WatchFrame
from vuemantics_ws.gateway.pulse import Sample
from vuemantics_ws.gateway.views import VIEWS, UploadsView
from vuemantics_ws.gateway.warnings import URGENCY, Stalled, warnings


def question(*views: str) -> Question:
    return Question.read(views, filter="", sort="", limit=50, offset=0)


def test_there_are_so_many_watches_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vuemantics_ws.gateway.inspection.WATCHES_MAX", 1)

    async def scenario() -> tuple[str, bool]:
        async with inspected() as (node, control):
            async with aclosing(control.frames(["uploads"])) as first:
                await anext(first)
                async with aclosing(control.frames(["uploads"])) as second:
                    with pytest.raises(EnvironmentUnfit) as refused:
                        await anext(second)
            await until(lambda: not node.inspection.is_full)
            async with aclosing(control.frames(["uploads"])) as third:
                return refused.value.message, bool(await anext(third))

    message, came = asyncio.run(scenario())

    assert "watch already" in message
    assert came


def test_a_frame_holds_all_that_was_promised() -> None:
    async def scenario() -> Any:
        async with inspected(connections_max=7) as (node, control), browser(node, "alice") as tab:
            await tab.subscribe("u1")
            await control.publish(event("u1", 20))
            async with aclosing(control.frames(["follows", "uploads", "connections", "followers"])) as frames:
                return await anext(frames), await control.statistics(), node.clock.wall()

    frame, statistics, now = asyncio.run(scenario())

    WatchFrame.model_validate(frame)
    assert set(frame) == {
        "at",
        "node",
        "broker",
        "nodes",
        "missing",
        "tables",
        "limits",
        "counters",
        "rates",
        "warnings",
        "views",
    }
    assert now - 10 < frame["at"] <= now
    assert set(frame["node"]) == {
        "name", "state", "version", "url", "control", "pid", "uptime_s", "access", "development",
    }  # fmt: skip
    assert (frame["node"]["name"], frame["node"]["state"], frame["node"]["access"]) == ("node:0", "ready", "open")
    assert frame["node"]["url"].startswith("ws://127.0.0.1:")
    assert (frame["broker"]["name"], frame["broker"]["ready"]) == ("memory", True)
    assert [node["connections"] for node in frame["nodes"]] == [1]
    assert frame["tables"] == statistics["tables"]
    assert frame["counters"] == statistics["counters"]
    assert frame["limits"] == {
        "connections_max": 7, "unauthenticated_max": 256, "heads_max": 20_000, "uploads_per_user_max": 1_000,
        "reply_bytes_max": 65_536, "direct_bytes_max": 65_536, "grace_s": 300.0,
    }  # fmt: skip
    assert [page["view"] for page in frame["views"]] == ["follows", "uploads", "connections", "followers"]
    assert all(page["matched"] == page["total"] == len(page["rows"]) == 1 for page in frame["views"])
    assert frame["warnings"] == []


def test_a_filter_is_for_every_view_and_an_order_for_the_first() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as one, browser(node, "bob") as two:
            await one.subscribe("u1")
            await two.subscribe("u2")
            watching = control.frames(["followers", "follows"], filter="user!=carol", sort="-upload", limit=1)
            async with aclosing(watching) as frames:
                return (await anext(frames))["views"]

    followers, follows = asyncio.run(scenario())

    assert (followers["sort"], followers["rows"][0]["upload"], followers["matched"]) == ("-upload", "u2", 2)
    assert (follows["sort"], follows["rows"][0]["user"], follows["filter"]) == ("", "alice", "user!=carol")


@pytest.mark.slow
def test_frames_follow_one_another_and_end_with_the_node() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice"):
            async with aclosing(control.frames(["connections"], every_s=0.25)) as frames:
                seen = [await anext(frames) for _ in range(6)]
                await node.stop()
                return seen, [frame async for frame in frames]

    seen, rest = asyncio.run(scenario())

    gaps = [later["at"] - earlier["at"] for earlier, later in pairwise(seen)]
    assert all(gap > 0.2 for gap in gaps), gaps
    assert len(seen[-1]["rates"]["events_per_s"]) == 1
    assert len(rest) <= 1


def test_a_watcher_that_leaves_leaves_nothing_behind() -> None:
    async def scenario() -> int:
        async with inspected() as (node, control):
            before = len(asyncio.all_tasks())
            for _ in range(3):
                async with aclosing(control.frames([*VIEWS])) as frames:
                    await anext(frames)
            assert not node.inspection._slices.turn.locked()
            await until(lambda: len(asyncio.all_tasks()) <= before)
            gc.collect()
            return len([made for made in gc.get_objects() if type(made) is Question])

    assert asyncio.run(scenario()) == 0


@pytest.mark.slow
def test_a_watcher_that_never_reads_is_owed_two_frames_at_most_and_troubles_nobody() -> None:
    frames = 0

    class Counted(Inspection):
        async def frame(self, question: Question) -> dict[str, Any]:
            nonlocal frames
            frames += 1
            return await super().frame(question)

    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as tab:
            for number in range(300):
                await control.publish(event(f"u{number:03}" + "x" * 100, 1))
            node.inspection = Counted(node)
            port = int(str(node.control_url).rsplit(":", 1)[1])
            async with raw(port) as (_, writer):
                path = b"/watch?view=uploads&view=uploads&view=uploads&limit=500&every=250ms"
                writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                transport: Any = writer.transport
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                transport.pause_reading()
                while True:  # until the kernel's buffers are full, and then some
                    before = frames
                    await asyncio.sleep(1.0)
                    if frames == before > 0:
                        break
                async with aclosing(control.frames(["uploads"])) as others:
                    other = await anext(others)
                await control.publish(event("u1", 1))
                held = frames
                answer = await tab.subscribe("u1")
            await node.stop()
            return other, held, frames, answer

    other, held, at_the_end, answer = asyncio.run(scenario())

    assert other["views"][0]["total"] == 300
    assert at_the_end <= held + 2
    assert answer["known"] is True


def test_a_long_look_gives_everybody_else_a_turn() -> None:
    async def scenario() -> tuple[int, Any]:
        async with inspected() as (node, _):
            for number in range(5_000):
                await node.manager.publish(event(f"u{number}", 1))
            asked = Question.read(["uploads"], filter="percent<50", sort="-stage", limit=500, offset=0)
            looking = asyncio.ensure_future(node.inspection.page(asked))
            turns = 0
            while not looking.done():
                await asyncio.sleep(0)
                turns += 1
            return turns, looking.result()

    turns, page = asyncio.run(scenario())

    assert page["matched"] == 5_000
    assert turns > 3


def test_tables_may_change_during_a_look() -> None:
    async def scenario() -> Any:
        async with inspected(grace_s=0.0) as (node, _):
            for number in range(1_000):
                await node.manager.publish(event(f"u{number}", 1))
                await node.manager.subscribe_upload(f"user-{number % 10}", f"u{number}")
            looks = [asyncio.ensure_future(node.inspection.page(question(view))) for view in VIEWS]
            number = 0
            while not all(look.done() for look in looks):
                await node.manager.publish(event(f"new-{number}", 1))
                await node.manager.unsubscribe_upload(f"user-{number % 10}", f"u{number % 1_000}")
                number += 1
            return [look.result()["view"] for look in looks]

    assert asyncio.run(scenario()) == [*VIEWS]


def test_an_upload_has_one_row_whoever_begins_or_ends_to_follow_it_during_the_look() -> None:
    async def scenario() -> list[tuple[str, bool]]:
        async with inspected() as (node, _):
            for upload_id in ("was-followed", "is-followed"):
                await node.manager.publish(event(upload_id, 1))
            await node.manager.subscribe_upload("alice", "was-followed")
            rows = UploadsView(node).rows()
            first = next(rows)
            await node.manager.unsubscribe_upload("alice", "was-followed")
            await node.manager.subscribe_upload("alice", "is-followed")
            return [(row.upload_id, row.followed is not None) for row in (first, *rows)]

    assert asyncio.run(scenario()) == [("was-followed", True), ("is-followed", True)]


# Warnings.

QUIET = Sample(0, 0, 0, 0, 0, 0, 0.0)
TABLES = {"connections": 10, "unauthenticated": 0, "heads": 0}
LIMITS = {"connections_max": 100, "unauthenticated_max": 10, "heads_max": 10}
MEMORY = {"name": "memory", "ready": True, "reason": None, "since_s": 9.0, "lag_ms": None, "gaps": 0, "adopts": None}
REDIS = MEMORY | {"name": "redis", "lag_ms": 0.4, "adopts": False}
AWAY = REDIS | {"ready": False, "reason": "redis at 127.0.0.1:6379 does not answer", "since_s": 12.3}


def said(**given: Any) -> list[tuple[str, str, int]]:
    told: dict[str, Any] = {"state": "ready", "tables": TABLES, "limits": LIMITS, "samples": [QUIET] * 60, "stalled": None}
    told |= {"broker": MEMORY, "nodes": [{"adopts": None}], **given}
    return [(warning["code"], warning["message"], warning["count"]) for warning in warnings(**told)]


def test_a_node_that_is_well_warns_of_nothing() -> None:
    assert said() == []
    assert said(samples=[], tables=TABLES | {"heads": None}) == []
    assert said(broker=REDIS, nodes=[{"adopts": False}, {"adopts": True}]) == []


def test_while_redis_is_away_nobody_is_told_to_adopt() -> None:
    assert [code for code, _, _ in said(broker=AWAY, nodes=[{"adopts": False}])] == ["broker_away"]


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        (
            {"broker": AWAY},
            (
                "broker_away",
                "redis at 127.0.0.1:6379 does not answer, for 12 s now: publishers must try again, people stay connected",
                1,
            ),
        ),
        ({"broker": REDIS | {"lag_ms": 3_210.0}}, ("broker_lag", "what redis tells arrives 3.2 s late", 1)),
        (
            {"broker": REDIS, "nodes": [{"adopts": False}, {"adopts": False}]},
            (
                "no_adopter",
                "no node adopts, so what plain publishers say reaches nobody: "
                "give one --adopt on, or read in its log why it cannot",
                1,
            ),
        ),
        ({"state": "draining"}, ("draining", "the node is going away: 10 connections are left", 1)),
        (
            {"samples": [QUIET, QUIET._replace(loop_lag_s=0.25)]},
            ("loop_lag", "the loop was late by up to 250 ms in the last 10 s", 1),
        ),
        ({"tables": TABLES | {"connections": 80}}, ("limit_near", "connections: 80 of at most 100", 1)),
        ({"tables": TABLES | {"connections": 80, "heads": 10}}, ("limit_near", "heads: 10 of at most 10", 2)),
        (
            {"stalled": Stalled(2, 12, "alice", 12.3)},
            ("stalled_reader", "connection 12 of alice has taken nothing for 12 s", 2),
        ),
        ({"stalled": Stalled(1, 12, None, 12.3)}, ("stalled_reader", "connection 12 has taken nothing for 12 s", 1)),
        (
            {"samples": [QUIET._replace(unowned_per_s=2.0)] * 3},
            ("unowned_events", "6 events of the last minute named no owner, so nobody got them", 6),
        ),
        (
            {"samples": [QUIET._replace(refused_per_s=1.0)] * 3},
            ("refused_events", "3 events of the last minute were refused as old or as after the end", 3),
        ),
    ],
)
def test_what_an_operator_should_look_at_is_said(given: dict[str, Any], warning: tuple[str, str, int]) -> None:
    assert said(**given) == [warning]


def test_the_most_urgent_comes_first() -> None:
    bad = QUIET._replace(loop_lag_s=1.0, refused_per_s=1.0, unowned_per_s=1.0)

    stalled, tables = Stalled(1, 1, "a", 9), dict.fromkeys(TABLES, 99)
    codes = [
        code for code, _, _ in said(state="draining", broker=AWAY, nodes=[AWAY], samples=[bad], stalled=stalled, tables=tables)
    ]

    assert codes == [code for code in URGENCY if code in codes]
    assert codes == [
        "broker_away",
        "draining",
        "loop_lag",
        "limit_near",
        "stalled_reader",
        "unowned_events",
        "refused_events",
    ]


@pytest.mark.slow
def test_a_frame_warns_of_a_reader_that_takes_nothing() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, _), frozen(node, "never"):
            later: Any = Later(node, 12.0)
            return await Inspection(later).frame(question("connections"))

    (warning,) = asyncio.run(scenario())["warnings"]

    assert warning == {"code": "stalled_reader", "message": "connection 1 of never has taken nothing for 12 s", "count": 1}


def test_a_page_of_another_origin_can_neither_look_nor_act() -> None:
    async def scenario() -> list[tuple[int, int]]:
        async with inspected() as (node, _), browser(node, "alice"), httpx.AsyncClient(trust_env=False) as http:
            headers = {"Origin": "https://evil.example"}
            asked = [
                ("GET", "/connections"),
                ("GET", "/watch?view=uploads"),
                ("GET", "/metrics"),
                ("DELETE", "/connections/1"),
                ("DELETE", "/users/alice/connections"),
            ]
            return [
                ((await http.request(method, f"{node.control_url}{path}", headers=headers)).status_code, len(node.connections))
                for method, path in asked
            ]

    assert asyncio.run(scenario()) == [(403, 1)] * 5


def test_a_line_of_a_watch_is_one_line() -> None:
    async def scenario() -> bytes:
        async with inspected() as (node, _), raw(int(str(node.control_url).rsplit(":", 1)[1])) as (reader, writer):
            writer.write(b"GET /watch?view=uploads HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"application/x-ndjson" in head
            await reader.readline()  # the size of the chunk
            return await reader.readline()

    assert json.loads(asyncio.run(scenario()))["views"][0]["view"] == "uploads"
