"""What several nodes say, as one: nothing is lost, nothing is counted twice that can be told apart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli import frames as made
from vuemantics_ws.gateway.inspection_answers import PAGES
from vuemantics_ws.gateway.merging import merge_frames
from vuemantics_ws.gateway.page_merging import merge_pages, names_in, with_all_of
from vuemantics_ws.gateway.query import SortField
from vuemantics_ws.gateway.views import VIEWS


def page(view: str, node: str, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    where: dict[str, Any] = {"nodes": [node], "at_most": False}
    where = {"node": node} if view == "connections" else {"this": True} if view == "nodes" else where
    whole = {"at_most": False, "nodes": [node], "missing": []}
    return made.page(view, rows=[row | where for row in rows]) | whole | more


def merged(*pages: dict[str, Any], limit: int = 50, offset: int = 0) -> dict[str, Any]:
    found = merge_pages(pages, limit=limit, offset=offset)
    PAGES[found["view"]].model_validate(found)
    return found


def column(found: dict[str, Any], name: str) -> list[Any]:
    return [row[name] for row in found["rows"]]


@pytest.mark.parametrize("view", VIEWS)
def test_a_node_that_is_alone_says_what_it_has(view: str) -> None:
    rows = [made.MAKERS[view](number) for number in (0, 4, 8)]
    alone = page(view, "a", rows)

    assert merged(alone)["rows"] == alone["rows"]
    assert merged(alone) | {"rows": []} == alone | {"rows": []}


def test_connections_are_those_of_all_nodes_each_with_its_own() -> None:
    one = page("connections", "a", [made.connection_row(number) for number in (2, 1, 5)])  # stalled, slow, open
    two = page("connections", "b", [made.connection_row(number) for number in (2, 5)])

    found = merged(one, two)

    where = list(zip(column(found, "state"), column(found, "node"), column(found, "connection"), strict=True))
    assert where == [("stalled", "a", 2), ("stalled", "b", 2), ("slow", "a", 1), ("open", "b", 5), ("open", "a", 5)]
    assert (found["matched"], found["total"], found["at_most"], found["nodes"]) == (5, 5, False, ["a", "b"])


def test_an_order_that_was_asked_for_holds_across_nodes() -> None:
    rows = [made.connection_row(0, connection=number, user=user, pending_bytes=size) for number, user, size in (
        (1, "carol", 9), (2, None, 7), (3, "alice", 3),
    )]  # fmt: skip
    more = [made.connection_row(0, connection=number, user=user, pending_bytes=size) for number, user, size in (
        (1, "dave", 8), (2, "bob", 7),
    )]  # fmt: skip

    by_size = merged(*(page("connections", node, of, sort="-pending,user") for node, of in (("a", rows), ("b", more))))
    by_name = merged(*(page("connections", node, of, sort="-user") for node, of in (("a", rows), ("b", more))))

    assert column(by_size, "user") == ["carol", "dave", "bob", None, "alice"]
    assert column(by_name, "user") == ["dave", "carol", "bob", "alice", None]


def test_an_upload_on_two_nodes_is_one_row_in_its_newest_state() -> None:
    old = made.upload_row(0, upload="u", seq=3, percent=30, followers=2, connections=2, accepted=1, users=["alice", "bob"])
    new = made.upload_row(0, upload="u", seq=4, percent=40, followers=2, connections=3, accepted=5, users=["bob", "carol"])

    found = merged(page("uploads", "a", [old]), page("uploads", "b", [new]))

    (row,) = found["rows"]
    assert (row["seq"], row["percent"], row["nodes"]) == (4, 40, ["a", "b"])
    assert (row["followers"], row["at_most"], row["connections"], row["accepted"]) == (3, False, 5, 6)
    assert "users" not in row
    assert (found["matched"], found["total"], found["at_most"]) == (1, 1, False)


def test_followers_that_not_all_are_named_are_counted_at_most() -> None:
    many = made.followers_row(0, upload="u", followers=30, users=[f"user-{number}" for number in range(20)])
    few = made.followers_row(0, upload="u", followers=1, users=["user-25"])

    (row,) = merged(page("followers", "a", [many]), page("followers", "b", [few]))["rows"]

    assert (row["followers"], row["at_most"], len(row["users"])) == (31, True, 20)


def test_a_user_on_two_nodes_is_one_row_whose_connections_say_where_they_are() -> None:
    def follow(upload: str, *held_by: int) -> dict[str, Any]:
        return {"upload": upload, "state": "running", "percent": 1, "held_by": list(held_by)}

    here = made.follows_row(1, user="alice", connections=[7, 8], uploads=2, follows=[follow("v", 8), follow("u", 7, 8)])
    there = made.follows_row(1, user="alice", connections=[7], uploads=1, follows=[follow("u", 7)])
    gone = made.follows_row(3, user="alice", connections=[], uploads=1, follows=[follow("u")], leaves_in_s=9.0)

    (row,) = merged(page("follows", "a", [here]), page("follows", "b", [there]), page("follows", "c", [gone]))["rows"]

    assert row["connections"] == ["a/7", "a/8", "b/7"]
    assert row["follows"] == [follow("v") | {"held_by": ["a/8"]}, follow("u") | {"held_by": ["a/7", "a/8", "b/7"]}]
    assert (row["uploads"], row["at_most"], row["nodes"], row["leaves_in_s"]) == (2, False, ["a", "b", "c"], None)


def test_a_row_is_of_all_nodes_even_of_those_on_which_it_stands_far_down() -> None:
    top = made.upload_row(0, upload="u", followers=2, connections=2, accepted=0, users=["alice", "bob"])
    far = made.upload_row(0, upload="u", followers=1, connections=1, accepted=0, users=["carol"])
    seen = made.upload_row(1, upload="u", followers=0, connections=0, accepted=9, users=[])
    asked = [page("uploads", "a", [top], matched=7), page("uploads", "b", [made.upload_row(4, users=[])], matched=7)]
    first = merged(*asked, limit=1)

    (row,) = with_all_of(first, [[top | {"nodes": ["a"]}], [far | {"nodes": ["b"]}], [seen | {"nodes": []}]])["rows"]

    assert (first["rows"][0]["followers"], names_in(first)) == (2, ["u"])
    assert (row["followers"], row["connections"], row["accepted"], row["nodes"]) == (3, 3, 9, ["a", "b"])
    assert row["state"] == "running"


def test_how_many_there_are_is_at_most_the_sum_where_not_all_were_told() -> None:
    rows = [made.upload_row(0, upload="u", users=[])]

    found = merged(page("uploads", "a", rows, matched=5, total=9), page("uploads", "b", rows))

    assert (found["matched"], found["total"], found["at_most"]) == (6, 10, True)


@given(
    shares=st.lists(st.lists(st.integers(0, 40), unique=True, max_size=12), min_size=1, max_size=4),
    descending=st.booleans(),
    offset=st.integers(0, 15),
    limit=st.integers(1, 15),
)
def test_a_page_is_the_one_that_a_single_node_with_all_rows_would_give(
    shares: list[list[int]], descending: bool, offset: int, limit: int
) -> None:
    """Ages are told apart, so there is one right order."""
    numbers = [number * len(shares) + node for node, share in enumerate(shares) for number in share]
    sort = SortField("age", descending)
    expected = sorted(numbers, reverse=descending)[offset : offset + limit]
    pages = []
    for node, share in enumerate(shares):
        own = sorted((number * len(shares) + node for number in share), reverse=descending)
        rows = [made.connection_row(0, connection=number, age_s=float(number)) for number in own[: offset + limit]]
        asked = "-age" if sort.descending else "age"
        pages.append(page("connections", f"node-{node}", rows, sort=asked, matched=len(own), total=len(own)))

    found = merged(*pages, limit=limit, offset=offset)

    assert column(found, "connection") == expected
    assert (found["matched"], found["offset"]) == (len(numbers), offset)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("uvwxyz"), st.sets(st.sampled_from("abcdefgh"), min_size=1)), min_size=2, max_size=4
    )
)
def test_no_follower_is_lost_and_none_is_counted_twice(shares: list[dict[str, set[str]]]) -> None:
    pages = []
    for node, share in enumerate(shares):
        rows = [
            made.followers_row(0, upload=upload, followers=len(users), connections=len(users), users=sorted(users))
            for upload, users in share.items()
        ]
        pages.append(page("followers", f"node-{node}", rows))

    found = merged(*pages)

    expected: dict[str, set[str]] = {}
    for share in shares:
        for upload, users in share.items():
            expected.setdefault(upload, set()).update(users)
    assert {row["upload"]: set(row["users"]) for row in found["rows"]} == expected
    assert {row["upload"]: row["followers"] for row in found["rows"]} == {name: len(users) for name, users in expected.items()}
    for row in found["rows"]:
        assert row["connections"] == sum(len(share.get(row["upload"], ())) for share in shares)
        assert row["nodes"] == [f"node-{node}" for node, share in enumerate(shares) if row["upload"] in share]
    assert (found["matched"], found["total"], found["at_most"]) == (len(expected), len(expected), False)


def frame(name: str, **more: Any) -> dict[str, Any]:
    said = made.frame(page("uploads", name, []), **more)
    return said | {"node": said["node"] | {"name": name}, "nodes": [made.node_row(name)], "missing": []}


def test_tables_counters_and_rates_are_sums_and_what_is_worst_the_worst() -> None:
    one = frame(
        "a",
        tables={"connections": 3, "outbox_bytes": 10, "outbox_bytes_max": 9, "heads": None},
        counters={"deliveries": 5, "closes": {"1000": 1}},
        rates={"events_per_s": [1.0, 2.0, 3.0], "loop_lag_s": [0.1, 0.2, 0.3]},
        limits={"connections_max": 10, "uploads_per_user_max": 7},
    )
    two = frame(
        "b",
        tables={"connections": 4, "outbox_bytes": 20, "outbox_bytes_max": 5, "heads": None},
        counters={"deliveries": 6, "closes": {"1000": 2, "4008": 1}},
        rates={"events_per_s": [10.0], "loop_lag_s": [0.05]},
        limits={"connections_max": 20, "uploads_per_user_max": 7},
    )

    found = merge_frames([one, two], limit=50, offset=0)

    assert found["tables"] == {"connections": 7, "outbox_bytes": 30, "outbox_bytes_max": 9, "heads": None}
    assert found["counters"] == {"deliveries": 11, "closes": {"1000": 3, "4008": 1}}
    assert found["rates"] == {"events_per_s": [1.0, 2.0, 13.0], "loop_lag_s": [0.1, 0.2, 0.3]}
    assert found["limits"] == {"connections_max": 30, "uploads_per_user_max": 7}
    assert found["node"]["name"] == "a"
    assert [node["name"] for node in found["nodes"]] == ["a", "b"]


def test_warnings_name_their_node_and_the_most_urgent_comes_first() -> None:
    def warning(code: str, message: str) -> dict[str, Any]:
        return {"code": code, "message": message, "count": 1}

    one = frame("a", warnings=[warning("no_adopter", "nobody"), warning("stalled_reader", "connection 1")])
    two = frame("b", warnings=[warning("draining", "going"), warning("no_adopter", "nobody")])

    found = merge_frames([one, two], silent=[made.node_row("c")], limit=50, offset=0)

    assert [(said["code"], said["message"], said["count"]) for said in found["warnings"]] == [
        ("node_silent", "c does not answer: what it has is missing here", 1),
        ("draining", "b: going", 1),
        ("no_adopter", "nobody", 2),
        ("stalled_reader", "a: connection 1", 1),
    ]
    assert found["missing"] == found["views"][0]["missing"] == ["c"]
    assert [node["state"] for node in found["nodes"]] == ["ready", "ready", "silent"]
