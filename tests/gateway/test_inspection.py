"""The pages of the live tables, as somebody meets them who asks a whole node over HTTP."""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest

from tests.events import failed
from tests.gateway.controlled import complaint, raw, until
from tests.gateway.inspected import Later, frozen, inspected
from tests.gateway.nodes import browser, client, completed, event
from vuemantics_ws.errors import BadSetting, Refused
from vuemantics_ws.gateway.inspection import Inspection, Question
from vuemantics_ws.gateway.inspection_answers import PAGES
from vuemantics_ws.gateway.views import VIEWS

OF_TABLES = [view for view in VIEWS if view != "nodes"]
"""Views whose rows come and go with what a node does."""

ALONE = {"at_most": False, "nodes": ["node:0"], "missing": []}
"""What every page says of a node that is the only one."""

SHARED = {"at_most": False, "nodes": ["node:0"]}
"""And every row of what may be on several."""


def ids(page: dict[str, Any], key: str = "upload") -> list[Any]:
    return [row[key] for row in page["rows"]]


def test_an_empty_node_has_empty_pages() -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with inspected() as (_, control):
            return [await control.page(view) for view in OF_TABLES]

    pages = asyncio.run(scenario())

    rest = {"filter": "", "sort": "", "offset": 0, "matched": 0, "total": 0, "rows": []} | ALONE
    assert pages == [{"view": view, **rest} for view in OF_TABLES]


def test_every_row_is_what_the_document_says() -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with inspected() as (node, control), browser(node, "alice") as tab, client(node):
            await tab.subscribe("u1")
            await control.publish(event("u1", 20, stage="queued"), owner="alice")
            await tab.next()
            return [await control.page(view) for view in VIEWS]

    for page in asyncio.run(scenario()):
        model = PAGES[page["view"]].model_validate(page)
        row = model.rows[0]
        assert page["rows"]
        assert set(page["rows"][0]) == set(type(row).model_fields)


def test_an_upload_says_how_far_it_is_and_who_gets_it() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as one, browser(node, "alice") as two:
            await one.subscribe("u1")
            await two.subscribe("u1")
            await two.send(action="unsubscribe_upload", upload_id="u1")
            await two.next()
            await control.publish(event("u1", 20, attempt=2, seq=7), owner="alice")
            await control.publish(event("u1", 20, attempt=2, seq=7), owner="alice")
            await control.publish(event("u1", 10, attempt=2, seq=1), owner="alice")
            return (await control.page("uploads"))["rows"]

    (row,) = asyncio.run(scenario())

    assert 0 <= row.pop("age_s") < 10
    assert row.pop("rate_per_s") >= 0
    assert row == {
        "upload": "u1", "state": "running", "stage": "vision_analysis", "percent": 20, "attempt": 2, "seq": 7, "owner": "alice",
        "followers": 1, "connections": 1, "accepted": 1, "duplicate": 1, "stale": 1, "after_terminal": 0, "refused": 1,
        **SHARED,
    }  # fmt: skip


def test_what_a_worker_says_beside_its_message_spoils_no_page() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as tab:
            for upload_id in ("done", "broke"):
                await tab.subscribe(upload_id)
            await control.publish(completed("done", payload="mine"))
            await control.publish(failed(upload_id="broke", payload={"stage": 1}, message=[]))
            return [(await control.page(view))["rows"] for view in OF_TABLES]

    uploads, _, followers, follows = asyncio.run(scenario())

    assert [(row["upload"], row["state"], row["percent"]) for row in uploads] == [
        ("broke", "failed", None), ("done", "completed", 100),
    ]  # fmt: skip
    assert [row["state"] for row in followers] == ["completed", "failed"]
    assert [follow["state"] for follow in follows[0]["follows"]] == ["failed", "completed"]


def test_a_user_in_the_grace_time_is_found_by_having_no_connection() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as stays:
            await stays.subscribe("u1")
            async with browser(node, "bob") as leaves:
                await leaves.subscribe("u1")
            await until(lambda: len(node.connections) == 1)
            return await control.page("follows", filter="connection=null")

    page = asyncio.run(scenario())

    assert ids(page, "user") == ["bob"]


def test_an_upload_that_nobody_follows_is_shown_as_such() -> None:
    async def scenario() -> Any:
        async with inspected() as (_, control):
            await control.publish(event("lonely", 20))
            return (await control.page("uploads"))["rows"], (await control.page("followers"))["rows"]

    uploads, followers = asyncio.run(scenario())

    assert [(row["upload"], row["state"], row["followers"], row["connections"]) for row in uploads] == [
        ("lonely", "running", 0, 0)
    ]
    assert followers == []


def test_uploads_stand_in_an_order_that_does_not_dance() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as tab:
            for number in range(3):
                await tab.subscribe(f"waits-{number}")
            for upload_id in ("done", "runs-1", "broke", "runs-2"):
                await control.publish(event(upload_id, 1))
            await control.publish(completed("done"))
            await control.publish(
                b'{"action":"upload_failed","upload_id":"broke","error_message":"x","timestamp":"2026-01-01T00:00:00Z"}'
            )
            before = await control.page("uploads")
            await control.publish(event("runs-2", 2))
            await control.publish(event("runs-1", 2))
            return before, await control.page("uploads")

    before, after = asyncio.run(scenario())

    assert ids(before) == ["runs-1", "runs-2", "waits-0", "waits-1", "waits-2", "broke", "done"]
    assert ids(after) == ids(before)
    assert [(row["state"], row["percent"]) for row in after["rows"]] == [
        ("running", 2), ("running", 2), ("unpublished", None), ("unpublished", None), ("unpublished", None), ("failed", None),
        ("completed", 100),
    ]  # fmt: skip


def test_a_page_is_cut_out_of_what_the_filter_lets_through() -> None:
    async def scenario() -> Any:
        async with inspected() as (_, control):
            for number in range(40):
                await control.publish(event(f"u{number:02}", number))
            return (
                await control.page("uploads", filter="percent >= 10", sort="-percent", limit=3, offset=2),
                await control.page("uploads", filter="percent >= 10 and percent < 12", limit=1),
                await control.page("uploads", offset=39),
                await control.page("uploads", offset=1000),
            )

    falling, first, last, nothing = asyncio.run(scenario())

    assert ids(falling) == ["u37", "u36", "u35"]
    assert (falling["matched"], falling["total"], falling["offset"]) == (30, 40, 2)
    assert (falling["filter"], falling["sort"]) == ("percent >= 10", "-percent")
    assert (ids(first), first["matched"]) == (["u10"], 2)
    assert ids(last) == ["u39"]
    assert (ids(nothing), nothing["matched"]) == ([], 40)


def test_what_is_missing_comes_last_in_either_direction() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as tab:
            await tab.subscribe("unknown")
            await control.publish(event("b", 1), owner="bob")
            await control.publish(event("a", 1), owner="alice")
            return [ids(await control.page("uploads", sort=sort)) for sort in ("owner", "-owner", "-percent,-owner")]

    assert asyncio.run(scenario()) == [["a", "b", "unknown"], ["b", "a", "unknown"], ["b", "a", "unknown"]]


def test_connections_say_in_which_state_they_are() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as tab, client(node) as guest:
            _, writer = await asyncio.open_connection(*node.address)
            await until(lambda: len(node.connections) == 3)
            await tab.subscribe("u1")
            rows = (await control.page("connections"))["rows"]
            mine = await control.page("connections", filter="user=alice and uploads>=1 and sent>=2 and behind=0")
            writer.close()
            await guest.socket.close()
            return rows, mine

    rows, mine = asyncio.run(scenario())

    assert [(row["user"], row["state"], row["uploads"]) for row in rows] == [
        ("alice", "open", 1),
        (None, "authenticating", 0),
        (None, "handshake", 0),
    ]
    assert rows[0]["sent"] == 2
    assert rows[0]["sent_bytes"] > 200
    assert rows[0]["address"] == "127.0.0.1"
    assert [row["connection"] for row in rows] == [1, 2, 3]
    assert mine["matched"] == 1


@pytest.mark.slow
def test_a_reader_that_does_not_keep_up_is_slow_then_stalled_and_behind() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice"), frozen(node, "never"):
            now = (await control.page("connections", sort="-pending"))["rows"][0]
            question = Question.read(["connections"], filter="", sort="", limit=50, offset=0)
            later = Inspection(Later(node, 6.0))
            survey = await later.survey()
            return now, (await later.page(question))["rows"], survey

    now, later, survey = asyncio.run(scenario())

    assert (now["user"], now["state"]) == ("never", "slow")
    assert now["pending_bytes"] > 0
    assert now["conflated"] > 0
    assert [(row["user"], row["state"]) for row in later] == [("never", "stalled"), ("alice", "open")]
    assert later[0]["behind_s"] > 5.9
    assert later[1]["behind_s"] == 0
    assert (survey.slow, survey.stalled.connections, survey.stalled.user_id) == (1, 1, "never")
    assert survey.tables["outbox_bytes"] == survey.tables["outbox_bytes_max"] == now["pending_bytes"]


@pytest.mark.slow
def test_a_reader_that_catches_up_is_behind_no_more() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), frozen(node, "never") as peer:
            (connection,) = node.connections
            before = connection.behind_s(node.timers.now() + 1)
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            while connection.is_slow or connection.pending_bytes:
                await peer.reader.read(65_536)
            row = (await control.page("connections"))["rows"][0]
            return before, row, node.displayed_age_s.count, node.manager.counters.deliveries, row["conflated"]

    before, row, displayed, deliveries, conflated = asyncio.run(scenario())

    assert before >= 1
    assert (row["state"], row["behind_s"], row["pending_bytes"]) == ("open", 0, 0)
    assert displayed == deliveries - conflated, "each state that was handed to the socket was observed once"


def test_followers_and_follows_are_two_sides_of_one_table() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as one, browser(node, "alice") as two:
            async with browser(node, "bob") as bob:
                await one.subscribe("u1")
                await one.subscribe("u2")
                await two.send(action="unsubscribe_upload", upload_id="u2")
                await two.next()
                await bob.subscribe("u1")
                await control.publish(event("u1", 30))
                views = [await control.page(view) for view in ("followers", "follows")]
                either = [await control.page(view, filter="user=bob and upload=u1") for view in ("followers", "follows")]
            await until(lambda: len(node.connections) == 2)
            return views, either, await control.page("follows", filter="connections=0")

    (followers, follows), either, gone = asyncio.run(scenario())

    assert followers["rows"] == [
        {"upload": "u1", "state": "running", "percent": 30, "followers": 2, "connections": 3, "users": ["alice", "bob"]}
        | SHARED,
        {"upload": "u2", "state": "unpublished", "percent": None, "followers": 1, "connections": 1, "users": ["alice"]}
        | SHARED,
    ]
    assert follows["rows"] == [
        {
            "user": "alice", "connections": [1, 2], "uploads": 2, "leaves_in_s": None, **SHARED,
            "follows": [
                {"upload": "u2", "state": "unpublished", "percent": None, "held_by": [1]},
                {"upload": "u1", "state": "running", "percent": 30, "held_by": [1, 2]},
            ],
        },
        {
            "user": "bob", "connections": [3], "uploads": 1, "leaves_in_s": None, **SHARED,
            "follows": [{"upload": "u1", "state": "running", "percent": 30, "held_by": [3]}],
        },
    ]  # fmt: skip
    assert [page["matched"] for page in either] == [1, 1]
    (bob,) = gone["rows"]
    assert bob["connections"] == bob["follows"][0]["held_by"] == []
    assert 290 < bob["leaves_in_s"] <= 300


def test_of_many_followers_twenty_are_shown_and_all_are_found() -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control):
            for number in range(30):
                await node.manager.subscribe_upload(f"user-{number}", "u1")
                await node.manager.subscribe_upload("one", f"u{number}")
            return (
                await control.page("followers", filter="user=user-29"),
                await control.page("follows", filter="upload=u0 and user=one"),
            )

    followers, follows = asyncio.run(scenario())

    assert followers["rows"][0]["users"][:3] == ["user-0", "user-1", "one"]
    assert (followers["rows"][0]["followers"], len(followers["rows"][0]["users"])) == (31, 20)
    assert (follows["rows"][0]["uploads"], len(follows["rows"][0]["follows"])) == (30, 20)
    assert follows["rows"][0]["follows"][0]["upload"] == "u29"


@pytest.mark.parametrize(
    ("asked", "setting", "message", "hint"),
    [
        ({"filter": "pendin > 1"}, "filter", "filter, character 1: expected a field, got 'pendin'", "did you mean pending?"),
        ({"filter": "age>1s and Usr=x"}, "filter", "filter, character 12: expected a field, got 'Usr'", "did you mean user?"),
        ({"filter": "ué\u202e" + "r" * 50}, "filter", f"filter, character 1: expected a field, got 'ué\\u202e{'r' * 37}'", ...),
        ({"filter": "user="}, "filter", "filter, character 6: expected a value", None),
        ({"sort": "age,,user"}, "sort", "sort, character 5: expected a field", ...),
        ({"sort": "usr"}, "sort", "sort, character 1: expected a field, got 'usr'", "did you mean user?"),
        ({"filter": "x" * 1_001}, "filter", "filter: expected at most 1000 characters, got 1001", None),
    ],
)
def test_a_question_that_cannot_be_read_is_a_bad_setting(asked: dict[str, str], setting: str, message: str, hint: Any) -> None:
    async def scenario() -> list[BadSetting]:
        refusals = []
        async with inspected() as (_, control):
            with pytest.raises(BadSetting) as refused:
                await control.page("connections", **asked)  # type: ignore[arg-type]
            refusals.append(refused.value)
            with pytest.raises(BadSetting) as refused:
                await anext(control.frames(["connections"], **asked))  # type: ignore[arg-type]
            return [*refusals, refused.value]

    for refused in asyncio.run(scenario()):
        assert (refused.setting, refused.message) == (setting, message)
        assert refused.hint == hint or (hint is ... and str(refused.hint).startswith("the fields are connection, "))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/uploads?limit=0", "limit: input should be greater than or equal to 1"),
        ("/uploads?limit=501", "limit: input should be less than or equal to 500"),
        ("/uploads?offset=-1", "offset: input should be greater than or equal to 0"),
        ("/uploads?canary-5f1d=1", "expected nothing but filter, sort, limit, offset and scope"),
        ("/connections?view=uploads", "expected nothing but filter, sort, limit, offset and scope"),
        ("/watch", "view: field required"),
        ("/watch?view=canary-5f1d", "view: input should be 'uploads', 'connections', 'followers', 'follows' or 'nodes'"),
        ("/watch?view=uploads&every=1ms", "every: expected a duration from 250ms to 60s"),
        ("/watch?view=uploads&every=61s", "every: expected a duration from 250ms to 60s"),
        ("/watch?view=uploads&every=canary-5f1d", "every: expected a duration from 250ms to 60s"),
        ("/watch?" + "view=uploads&" * 6, "view: list should have at most 5 items after validation, not 6"),
    ],
)
def test_an_option_out_of_its_range_is_refused(path: str, message: str) -> None:
    async def scenario() -> httpx.Response:
        async with inspected() as (node, _), httpx.AsyncClient(trust_env=False) as http:
            return await http.get(f"{node.control_url}{path}")

    said = complaint(asyncio.run(scenario()), 422)

    assert (said["code"], said["message"]) == ("bad_request", message)


@pytest.mark.parametrize(
    "query", ["filter=canary-5f1d%3D1", "filter=user%3D'canary-5f1d", "sort=canary-5f1d", "sort=-user,canary-5f1d"]
)
def test_a_refused_question_is_not_repeated(query: str) -> None:
    async def scenario() -> list[httpx.Response]:
        async with inspected() as (node, _), httpx.AsyncClient(trust_env=False) as http:
            paths = ("/connections?", "/watch?view=connections&")
            return [await http.get(f"{node.control_url}{path}{query}") for path in paths]

    assert [complaint(response, 422)["code"] for response in asyncio.run(scenario())] == ["bad_query"] * 2


# Ending connections.


@pytest.mark.parametrize(
    ("for_good", "ending"), [(False, (1012, "Server reloading")), (True, (1000, "closed by the operator"))]
)
def test_a_connection_is_ended_by_its_number(for_good: bool, ending: tuple[int, str]) -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, "alice") as one, browser(node, "alice") as two:
            await one.subscribe("u1")
            kicked = await control.kick(1, for_good=for_good)
            await one.close_code()
            await until(lambda: len(node.connections) == 1)
            rest = await two.subscribe("u1")
            return kicked, one.socket.close_code, one.socket.close_reason, rest["action"], node.statistics()["tables"]

    kicked, code, reason, rest, tables = asyncio.run(scenario())

    assert (kicked.count, (code, reason)) == (1, ending)
    assert rest == "subscribed"
    assert (tables["connections"], tables["follows"]) == (1, 1)


@pytest.mark.parametrize("user_id", ["alice", "../x", "a/b c%2Fd", "Ünïcode & co?", ".."])
def test_all_connections_of_a_user_are_ended_and_nobody_else_s(user_id: str) -> None:
    async def scenario() -> Any:
        async with inspected() as (node, control), browser(node, user_id) as one, browser(node, user_id) as two:
            async with browser(node, "bob") as bob:
                await one.subscribe("u1")
                kicked = await control.kick_user(user_id)
                codes = [await tab.close_code() for tab in (one, two)]
                await until(lambda: len(node.connections) == 1)
                await bob.subscribe("u1")
                return kicked, codes, node.statistics()["tables"]

    kicked, codes, tables = asyncio.run(scenario())

    assert (kicked.count, codes) == (2, [1012, 1012])
    assert (tables["connections"], tables["users"], tables["follows"]) == (1, 2, 2), "what was followed stays for a while"


def test_a_connection_that_is_no_websocket_yet_is_ended_too() -> None:
    async def scenario() -> tuple[int, bytes, int]:
        async with inspected() as (node, control):
            reader, writer = await asyncio.open_connection(*node.address)
            await until(lambda: len(node.connections) == 1)
            kicked = await control.kick(1)
            said = await reader.read()
            writer.close()
            return kicked.count, said, len(node.connections)

    assert asyncio.run(scenario()) == (1, b"", 0)


def test_whoever_is_not_there_cannot_be_ended() -> None:
    async def scenario() -> list[tuple[str, str | None]]:
        async with inspected() as (node, control):
            async with browser(node, "gone") as tab:
                await tab.subscribe("u1")
            await until(lambda: not node.connections)
            said = []
            for ask in (control.kick(99), control.kick_user("nobody"), control.kick_user("gone")):
                with pytest.raises(Refused) as refused:
                    await ask
                said.append((refused.value.message, refused.value.hint))
            return said

    numbers, nobody, gone = asyncio.run(scenario())

    assert numbers == ("there is no open connection with this number", "it may have ended")
    assert nobody == gone == ("this user has no open connection", "names are case-sensitive")


@pytest.mark.slow
def test_ending_a_connection_that_reads_nothing_frees_everything() -> None:
    async def scenario() -> Any:
        async with inspected(close_timeout_s=0.2, grace_s=0.0) as (node, control), frozen(node, "never"):
            await control.kick(1)
            await until(lambda: not node.connections)
            return node.statistics()["tables"], node.manager.counters.closes

    tables, closes = asyncio.run(scenario())

    assert {name: size for name, size in tables.items() if size} == {"heads": 20}
    assert closes == {1012: 1}


def test_no_page_is_made_for_who_has_left_before_its_turn() -> None:
    async def scenario() -> tuple[Any, int]:
        made = 0

        class Counted(Inspection):
            async def _page(self, question: Question, index: int) -> dict[str, Any]:
                nonlocal made
                made += 1
                return await super()._page(question, index)

        async with inspected() as (node, control):
            node.inspection = Counted(node)
            port = int(str(node.control_url).rsplit(":", 1)[1])
            turn = node.inspection._slices.turn

            def waits(count: int) -> bool:
                return len(turn._waiters or ()) == count

            async with turn:
                for number in range(20):
                    async with raw(port) as (_, writer):
                        writer.write(b"GET /uploads HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        await until(partial(waits, number + 1))
                        writer.transport.abort()
                stays = asyncio.ensure_future(control.page("uploads"))
                await until(partial(waits, 21))
            return await stays, made

    page, made = asyncio.run(scenario())

    assert made == 1
    assert page["total"] == 0
