"""What each key does, without a terminal and without a server."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.frames import connection_row, followers_row, node_row, page, upload_row
from vuemantics_ws_cli.views.pages import columns_of
from vuemantics_ws_cli.watching.browsing import ASKED, FILTER_CHARACTERS_MAX, SORTS, Browsing, Query, Shown

SHOWN = Shown(rows=10, matched=35)
ROWS = {
    "uploads": upload_row(1, refused=1, duplicate=1, stale=1, after_terminal=1),
    "subscriptions": followers_row(1),
    "connections": connection_row(1),
    "nodes": node_row("web-1"),
}


def after(*keys: str, query: Query | None = None, shown: Shown = SHOWN) -> Browsing:
    browsing = Browsing(query or Query())
    for key in keys:
        browsing = browsing.press(key, shown)
    return browsing


class TestViews:
    @pytest.mark.parametrize(
        ("keys", "view"),
        [
            ("s", "subscriptions"), ("c", "connections"), ("su", "uploads"),
            (["tab"], "subscriptions"), (["tab", "tab"], "connections"), (["tab"] * 3, "nodes"), (["tab"] * 4, "uploads"),
            (["backtab"], "nodes"), ("n", "nodes"),
        ],
    )  # fmt: skip
    def test_a_key_leads_to_a_view(self, keys: str | list[str], view: str) -> None:
        assert after(*keys).query.view == view

    def test_another_view_keeps_the_filter_and_leaves_sort_and_page(self) -> None:
        browsing = after("c", query=Query("uploads", "user=alice", "-rate", 20))

        assert browsing.query == Query("connections", "user=alice", "", 0)

    def test_a_filter_that_another_view_has_no_fields_for_waits_for_one_that_has(self) -> None:
        uploads = Query("uploads", "percent>50")

        refused = after("c", query=uploads).refuse(
            "filter, character 1: expected a field, got 'percent': did you mean x?", uploads
        )

        assert refused.query == Query("connections")
        assert refused.complaint == "connections have no field 'percent': did you mean x?"
        assert refused.press("u", SHOWN) == replace(Browsing(uploads), elsewhere="percent>50")
        assert refused.press("/", SHOWN).press("clear", SHOWN).press("enter", SHOWN).press("u", SHOWN).query == Query()

    def test_a_filter_waits_through_several_views_that_have_no_fields_for_it(self) -> None:
        uploads = Query("uploads", "percent>50")
        complaint = "filter, character 1: expected a field, got 'percent'"

        first = after("c", query=uploads).refuse(complaint, uploads)
        second = first.press("n", SHOWN).refuse(complaint, first.query)

        assert second.query == Query("nodes")
        assert second.complaint == "nodes have no field 'percent'"
        assert second.press("u", SHOWN).query == uploads

    def test_a_filter_that_another_view_reads_otherwise_waits_too(self) -> None:
        uploads = Query("uploads", "connections>2")

        refused = after("s", query=uploads).refuse("filter, character 12: expected x", uploads)

        assert refused.complaint == "subscriptions do not take this filter: filter, character 12: expected x"
        assert refused.elsewhere == "connections>2"

    def test_the_view_that_is_there_already_stays_as_it_is(self) -> None:
        query = Query("uploads", "user=alice", "-rate", 20)

        assert after("u", query=query).query == query


class TestFilter:
    def test_it_is_edited_in_place_and_applied_by_enter(self) -> None:
        browsing = after("/", "backspace", *"b and x>1", query=Query(filter="user=a", offset=20))

        assert browsing.editing == "user=b and x>1"
        assert browsing.query.filter == "user=a"
        assert browsing.press("enter", SHOWN) == Browsing(Query(filter="user=b and x>1"))

    def test_escape_leaves_it_as_it_was(self) -> None:
        assert after("/", *"xyz", "escape", query=Query(filter="user=a")) == Browsing(Query(filter="user=a"))

    def test_clear_empties_it(self) -> None:
        assert after("/", "clear", "enter", query=Query(filter="user=a")).query.filter == ""

    def test_every_key_that_means_something_else_is_text_meanwhile(self) -> None:
        browsing = after("/", *"qusco?r j")

        assert browsing == Browsing(editing="qusco?r j")

    def test_it_never_grows_beyond_what_a_server_takes(self) -> None:
        browsing = after("/", *"x" * (FILTER_CHARACTERS_MAX + 5))

        assert browsing.editing == "x" * FILTER_CHARACTERS_MAX

    def test_one_that_the_server_refuses_is_taken_back_and_complained_about_until_the_next(self) -> None:
        before = Query(filter="user=a")
        refused = after("/", *"x", "enter", query=before).refuse("filter: no field x", before)

        assert refused.query == before
        assert refused.complaint == "filter: no field x"
        assert refused.press("/", SHOWN).editing == "user=ax"
        assert refused.press("c", SHOWN) == Browsing(Query("connections", "user=a"))
        assert refused.press("/", SHOWN).press("escape", SHOWN) == Browsing(before)


class TestSort:
    def test_o_goes_through_the_columns_and_back_to_the_server_s_order(self) -> None:
        seen = [after(*"o" * presses).query.sort for presses in range(len(SORTS["uploads"]) + 2)]

        assert seen == ["", *SORTS["uploads"], ""]

    def test_capital_o_goes_the_other_way(self) -> None:
        assert after("O").query.sort == SORTS["uploads"][-1]
        assert after("o", "O").query.sort == ""

    def test_r_reverses_what_there_is(self) -> None:
        assert after("r", query=Query(sort="-rate,upload")).query.sort == "rate,upload"
        assert after("r", query=Query(sort="rate")).query.sort == "-rate"
        assert after("r").query.sort == ""

    @pytest.mark.parametrize("view", SORTS)
    def test_every_sort_is_a_column_in_the_order_of_the_columns(self, view: str) -> None:
        columns = [column.name for column in columns_of(page(ASKED[view][0], rows=[ROWS[view]], nodes=["a", "b"]))]  # type: ignore[index]
        sorts = [sort.removeprefix("-") for sort in SORTS[view]]  # type: ignore[index]

        assert sorts == [name for name in columns if name in sorts]
        assert set(columns) - set(sorts) <= {"version", "users", "nodes"}


class TestPages:
    @pytest.mark.parametrize(
        ("keys", "offset"),
        [
            (["pagedown"], 10),
            (["pagedown"] * 9, 25),
            (["pagedown", "pageup"], 0),
            (["j", "j", "k"], 1),
            (["down", "down", "up"], 1),
            (["end"], 25),
            (["end", "home"], 0),
            (["k"], 0),
        ],
    )
    def test_a_page_never_begins_before_the_first_or_beyond_the_last_row(self, keys: list[str], offset: int) -> None:
        assert after(*keys).query.offset == offset

    def test_what_fits_on_one_page_has_no_other(self) -> None:
        assert after("pagedown", "j", "end", shown=Shown(10, 7)).query.offset == 0

    def test_rows_that_went_away_take_the_page_with_them(self) -> None:
        browsing = after(query=Query(offset=90))

        assert browsing.within(Shown(10, 35)).query.offset == 25
        assert browsing.within(Shown(10, 500)) == browsing


class TestTheRest:
    def test_space_pauses_and_goes_on(self) -> None:
        assert after(" ").paused
        assert not after(" ", " ").paused

    def test_help_is_left_with_any_key(self) -> None:
        assert after("?").helping
        assert after("?", "c") == Browsing()

    def test_q_ends_it_also_from_help(self) -> None:
        assert after("q").over
        assert after("?", "q").over

    def test_a_key_that_means_nothing_changes_nothing(self) -> None:
        assert after("x", "enter", "escape", "é") == Browsing()

    @given(st.lists(st.sampled_from([*"uscoOr /?jkx", "tab", "enter", "escape", "pagedown", "pageup", "home", "end"])))
    def test_no_keys_lead_where_nothing_can_be_asked(self, keys: list[str]) -> None:
        query = after(*keys).query

        assert 0 <= query.offset <= SHOWN.matched
        assert query.sort.removeprefix("-") in {"", *(sort.removeprefix("-") for sort in SORTS[query.view])}
