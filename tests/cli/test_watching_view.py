"""Live tables as text: at any size, without colour, and whatever a server sent."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from tests.cli.frames import connection_row, follows_row, frame, node_row, page, upload_row
from vuemantics_ws.quantities import parse_duration
from vuemantics_ws_cli.views import amounts
from vuemantics_ws_cli.views.columns import joined, table
from vuemantics_ws_cli.views.pages import columns_of, place
from vuemantics_ws_cli.views.size import Size
from vuemantics_ws_cli.views.watching import KEYS, block, screen
from vuemantics_ws_cli.watching.browsing import ASKED, Browsing, Query, View

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VIEWS: list[View] = ["uploads", "subscriptions", "connections", "nodes"]
WIDTHS = [40, 80, 120, 160, 200]


def drawn(view: RenderableType, width: int, *, colour: bool = False) -> list[str]:
    console = Console(width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False)
    with console.capture() as captured:
        console.print(view, soft_wrap=True)
    return captured.get().splitlines()


def frame_of(view: View, count: int = 30, **more: Any) -> dict[str, Any]:
    return frame(*(page(name, count, **more) for name in ASKED[view]))


def head_of(said: dict[str, Any], width: int) -> str:
    made = screen(said, Browsing(), at=AT, size=Size(width, 40))
    return drawn(made.view, width)[0]


def shown(
    view: View,
    width: int,
    height: int = 40,
    *,
    browsing: Browsing | None = None,
    ascii_only: bool = False,
    colour: bool = False,
) -> list[str]:
    made = screen(frame_of(view), browsing or Browsing(Query(view)), at=AT, size=Size(width, height, ascii_only))
    return drawn(made.view, width, colour=colour)


class TestScreen:
    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("width", [1, 20, *WIDTHS])
    @pytest.mark.parametrize("height", [1, 5, 10, 24, 48])
    @pytest.mark.parametrize("count", [0, 1, 100])
    def test_it_fits_the_terminal(self, view: View, width: int, height: int, count: int) -> None:
        for browsing in (
            Browsing(Query(view)),
            Browsing(helping=True),
            Browsing(editing="user=" * 50),
            Browsing(complaint="x" * 300),
        ):
            made = screen(frame_of(view, count), browsing, at=AT, size=Size(width, height), trouble="no server " * 20)

            lines = drawn(made.view, width)

            assert max(cell_len(line) for line in lines) <= width
            assert len(lines) == height
            assert made.rows >= 1

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("width", WIDTHS)
    def test_what_it_promises_to_show_is_shown(self, view: View, width: int) -> None:
        made = screen(frame_of(view, 100), Browsing(Query(view)), at=AT, size=Size(width, 60))

        text = "\n".join(drawn(made.view, width))

        assert text.count(f"rows 1-{made.rows} of 100") == len(ASKED[view])
        assert made.rows >= 15

    @pytest.mark.parametrize("width", WIDTHS)
    def test_whom_a_row_is_about_is_never_cut(self, width: int) -> None:
        rows = [connection_row(1234567, user="a-user-with-quite-a-name", state="stalled")]
        made = screen(frame(page("connections", rows=rows)), Browsing(), at=AT, size=Size(width, 40))

        assert re.search(r"1234567 +a-user-with-quite-a-name", "\n".join(drawn(made.view, width)))

    def test_uploads_at_80_columns(self) -> None:
        text = "\n".join(shown("uploads", 80))

        assert re.search(r"^upload +stage +percent +version +followers +rate +age$", text, re.MULTILINE)
        assert re.search(r"^00000004  embedding_generation  █+░+  60 % +2\.11 +4 +1\.2/s +49s$", text, re.MULTILINE)
        assert re.search(r"^00000001  unpublished +1 +0/s$", text, re.MULTILINE)
        assert re.search(r"^00000002  failed + 100 %", text, re.MULTILINE)

    def test_uploads_at_40_columns_still_tell_how_they_ended(self) -> None:
        text = "\n".join(shown("uploads", 40))

        assert re.search(r"^upload +stage +percent$", text, re.MULTILINE)
        assert re.search(r"^00000004  embedding_…  █+░+  60 %$", text, re.MULTILINE)
        assert re.search(r"^00000002  failed +100 %$", text, re.MULTILINE)
        assert re.search(r"^00000003  completed +100 %$", text, re.MULTILINE)

    def test_the_bar_gives_way_before_names_of_nodes_are_cut(self) -> None:
        names = ["vm:8765", "vm:8766"]
        rows = [upload_row(0, nodes=names)]

        _, line = table(columns_of(page("uploads", rows=rows, nodes=names)), rows, 160)

        assert ", ".join(names) in line.plain
        assert "░  60 %" in line.plain

    def test_uploads_at_160_columns_have_their_whole_id_and_their_owner(self) -> None:
        text = "\n".join(shown("uploads", 160))

        assert re.search(r"^00000001-3f5c-4d1e-9a54-2f6f3e8f5a10  unpublished .* alice$", text, re.MULTILINE)
        assert re.search("refused +duplicate", text)

    def test_verdicts_take_the_place_of_their_sum_where_there_is_room_for_all(self) -> None:
        rows = [upload_row(1, duplicate=1, stale=2, after_terminal=3, refused=5)]

        def head(width: int) -> set[str]:
            return set(table(columns_of(page("uploads", rows=rows)), rows, width)[0].plain.split())

        verdicts = {"duplicate", "stale", "after_terminal"}
        assert head(200) & {*verdicts, "refused"} == verdicts
        assert head(105) & {*verdicts, "refused"} == {"refused"}

    def test_verdicts_are_not_there_while_there_are_none(self) -> None:
        rows = [upload_row(0, duplicate=0, stale=0, after_terminal=0, refused=0)]

        head = table(columns_of(page("uploads", rows=rows)), rows, 200)[0].plain

        assert head.split() == ["upload", "stage", "percent", "version", "followers", "connections", "rate", "age", "owner"]
        assert "stale" in table(columns_of(page("uploads", rows=rows, sort="-stale")), rows, 200)[0].plain

    def test_connections_at_80_columns(self) -> None:
        text = "\n".join(shown("connections", 80))

        assert re.search(r"^connection  user +state +age +pending +behind +silent +uploads$", text, re.MULTILINE)
        assert re.search(r"^ +2  user-2 +stalled +3m12s +65\.5kB +7\.3s +3\.1s +50$", text, re.MULTILINE)

    def test_subscriptions_tell_both_ways_and_who_holds_what(self) -> None:
        text = "\n".join(shown("subscriptions", 120))

        assert re.search(r"^00000003\S* +completed +100 % +3 +6  user-0, user-1, user-2$", text, re.MULTILINE)
        assert re.search(r"^user-2 +2, 102 +2  00000000 60 %, 00000001 unpublished \(102\)$", text, re.MULTILINE)
        assert re.search(r"^user-3 +none +4m12s ", text, re.MULTILINE)
        assert re.search(r"user-0, user-1.* \+\d+$", text, re.MULTILINE)

    def test_subscriptions_stand_side_by_side_where_that_is_wide_enough(self) -> None:
        assert any(line.startswith("followers ") and "follows " in line for line in shown("subscriptions", 160))
        assert not any(line.startswith("followers ") and "follows " in line for line in shown("subscriptions", 120))

    def test_the_sorted_column_is_marked_and_has_room_however_narrow(self) -> None:
        rows = [connection_row(number) for number in range(3)]
        for width in (40, 80, 160):
            made = screen(frame(page("connections", rows=rows, sort="-sent,user")), Browsing(), at=AT, size=Size(width, 40))

            assert any(re.search(r"\bsent ▼", line) for line in drawn(made.view, width))

    def test_totals_rates_and_warnings_are_there(self) -> None:
        text = "\n".join(shown("uploads", 80))

        for words in (
            "node:0  ready  0.1.0  ws://127.0.0.1:8765/ws/uploads  up 3m12s  access open",
            "DEVELOPMENT MODE: whoever reaches the control port",
            "warning: connection 12 of alice has taken nothing for 12 s (and 2 more)",
            "events         5.0/s  ",
            "deliveries   1,180/s  ",
            "connects         0/s  ",
            "refused          0/s  ",
            "loop lag       0.4ms  ",
            "connections  1,012 of 19,000",
            "users        404",
            "followed     1,204",
            "follows      2,408",
            "outboxes     131kB, at most 65.5kB",
            "u uploads  s subscriptions  c connections  n nodes  / filter",
        ):
            assert words in text

    @pytest.mark.parametrize("width", [80, 160])
    def test_of_many_nodes_it_says_how_many_and_how_what_lies_between_them_is(self, width: int) -> None:
        redis = {"name": "redis", "ready": True, "reason": None, "since_s": 9.0, "lag_ms": 0.42, "gaps": 0, "adopts": True}
        away = redis | {"ready": False, "reason": "redis at 127.0.0.1:6379 does not answer", "since_s": 72.0}
        nodes = {"nodes": [node_row("a"), node_row("b"), node_row("c")]}

        well = head_of(frame(broker=redis, **nodes), width)
        silent = head_of(frame(broker=redis, missing=["c"], **nodes), width)
        gone = head_of(frame(broker=away, **nodes), width)

        assert "3 nodes" in well
        assert "redis 0.4ms" in well
        assert "3 nodes, 1 silent" in silent
        assert "3 nodes" in gone
        assert "redis AWAY for 1m12s" in gone
        assert "nodes" not in head_of(frame(), width)

    def test_a_low_terminal_keeps_the_rows_and_tells_the_rest_in_a_line(self) -> None:
        lines = shown("uploads", 80, 16)

        assert "events 5.0/s  deliveries 1,180/s  connects 0/s  refused 0/s  loop lag 0.4ms" in lines
        assert sum(line.startswith("0000") for line in lines) >= 5

    def test_a_server_that_is_gone_is_not_called_ready(self) -> None:
        trouble = "no server since 03:04:01 (4s ago)"
        made = screen(frame_of("uploads"), Browsing(), at=AT, size=Size(80, 24), trouble=trouble)

        text = "\n".join(drawn(made.view, 80))

        assert trouble in text
        assert "node:0  GONE" in text
        assert "ready" not in text

    def test_paused_editing_and_refused_are_said(self) -> None:
        def foot(browsing: Browsing) -> str:
            return "\n".join(shown("uploads", 80, browsing=browsing))

        assert "PAUSED since 03:04:05  filter user=a  sort -rate" in foot(
            Browsing(Query("uploads", "user=a", "-rate"), paused=True)
        )
        assert "filter: user=b" in foot(Browsing(editing="user=b"))
        assert "Enter applies  Esc leaves" in foot(Browsing(editing="user=b"))
        assert "error: filter: no field x" in foot(Browsing(complaint="filter: no field x"))

    def test_the_end_of_a_long_filter_is_what_one_sees_while_typing(self) -> None:
        lines = shown("uploads", 40, browsing=Browsing(editing="a" * 100 + "-the-end"))

        assert any(line.startswith("filter: aaa") and line.rstrip().endswith("-the-end") for line in lines)

    def test_development_mode_is_explained_where_there_is_room(self) -> None:
        assert "DEVELOPMENT MODE: whoever reaches the control port gets a token for any user" in shown("uploads", 80)
        assert "DEVELOPMENT MODE" in shown("uploads", 40)

    def test_help_has_every_key(self) -> None:
        text = "\n".join(shown("uploads", 80, browsing=Browsing(helping=True)))

        assert "keys  Esc goes back" in text
        for key, does in KEYS.items():
            assert re.search(rf"^{re.escape(key)} +{re.escape(does)}$", text, re.MULTILINE)

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("width", WIDTHS)
    def test_colour_adds_nothing_but_colour_and_reads_on_any_background(self, view: View, width: int) -> None:
        browsing = Browsing(Query(view, "user=a"), paused=True)

        plain = [line.rstrip() for line in shown(view, width, browsing=browsing)]
        coloured = shown(view, width, browsing=browsing, colour=True)

        assert plain == [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in coloured]
        codes = {
            int(code) for group in re.findall("\x1b\\[([0-9;]*)m", "\n".join(coloured)) for code in group.split(";") if code
        }
        assert codes <= {0, 1, 2, 7, 31, 32, 33, 36}, "bold, dim, reverse and the four colours that can be read on both"

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("width", WIDTHS)
    def test_a_terminal_with_nothing_but_ascii_gets_nothing_else(self, view: View, width: int) -> None:
        made = screen(
            frame(*(page(name, 9, sort="-connections") for name in ASKED[view])),
            Browsing(Query(view, "user=zoë")),
            at=AT,
            size=Size(width, 40, True),
            trouble="gone " * 60,
        )

        assert "\n".join(drawn(made.view, width)).isascii()

    def test_empty_tables_say_why(self) -> None:
        def text(**more: Any) -> str:
            made = screen(frame(page("uploads", 0, **more)), Browsing(), at=AT, size=Size(80, 24))
            return "\n".join(drawn(made.view, 80))

        assert "no upload is known yet: vuemantics-ws publish new --run image makes one" in text()
        assert "none of them matches: owner=x" in text(total=3, filter="owner=x")
        assert "there are no more" in text(total=3, matched=3, offset=3)

    def test_more_warnings_than_there_is_room_for_are_counted(self) -> None:
        warnings = [{"code": "loop_lag", "message": f"warning {number}", "count": 1} for number in range(8)]
        made = screen(frame(warnings=warnings), Browsing(), at=AT, size=Size(80, 40))

        text = "\n".join(drawn(made.view, 80))

        assert "warning: warning 2  5 more warnings" in text
        assert "warning 3" not in text


WIRE = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(["\x1b[2J", "a\nb", "\u202e", "日本語", "\x9b1A"])


class TestWhateverTheServerSends:
    @given(WIRE, st.sampled_from(WIDTHS))
    def test_it_stays_in_its_place(self, words: str, width: int) -> None:
        rows = [
            page("connections", rows=[connection_row(1, user=words, address=words, state=words)], filter=words),
            page("uploads", rows=[upload_row(0, upload=words, stage=words, owner=words)]),
            page("followers", rows=[{**upload_row(1, upload=words), "users": [words]}]),
            page("follows", rows=[follows_row(2, user=words)]),
        ]
        for made in rows:
            said = frame(made, warnings=[{"code": "x", "message": words, "count": 1}])
            said["node"] = {**said["node"], "name": words, "url": words}
            browsing = Browsing(Query(filter=words), complaint=words)
            lines = drawn(screen(said, browsing, at=AT, size=Size(width, 24)).view, width)

            assert len(lines) == 24
            assert max(cell_len(line) for line in lines) <= width
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", "".join(lines))


class TestBlock:
    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("width", [20, *WIDTHS])
    def test_it_has_every_row_and_no_line_is_wider_than_asked(self, view: View, width: int) -> None:
        lines = drawn(block(frame_of(view), at=AT, size=Size(width, 24)), width)

        assert max(cell_len(line) for line in lines) <= width
        assert len(lines) >= 30 * len(ASKED[view])
        assert lines[0].startswith("03:04:05")
        assert not any("q quit" in line for line in lines)


class TestTable:
    def test_numbers_stand_at_the_right(self) -> None:
        made = page("connections", 3)

        head, *lines = [line.plain for line in table(columns_of(made), made["rows"], 80)]

        end = head.index("pending") + len("pending")
        assert [line[:end].split()[-1] for line in lines] == ["0B", "65.5kB", "65.5kB"]

    @pytest.mark.parametrize("width", range(1, 210, 7))
    def test_a_wider_table_has_every_column_of_a_narrower_one(self, width: int) -> None:
        made = page("uploads", 5)

        def heads(width: int) -> set[str]:
            return set(table(columns_of(made), made["rows"], width)[0].plain.split())

        assert len(heads(width)) <= len(heads(width + 30)) + 1  # three verdicts may take the place of their sum

    @pytest.mark.parametrize(
        ("more", "room", "words"),
        [
            (0, None, "alice, bob, carol"),
            (0, 17, "alice, bob, carol"),
            (0, 16, "alice, bob +1"),
            (5, 20, "alice, bob, carol +5"),
            (5, 19, "alice, bob +6"),
            (5, 12, "alice +7"),
            (5, 3, "alice +7"),
        ],
    )
    def test_a_list_says_how_many_it_leaves_out(self, more: int, room: int | None, words: str) -> None:
        assert joined([Text("alice"), Text("bob"), Text("carol")], more, room).plain == words

    def test_the_place_of_a_page_is_said_as_shortly_as_can_be(self) -> None:
        many = {"matched": 412, "total": 10_000, "offset": 0}

        assert place(many, 30) == "rows 1-30 of 412 matched, 10,000 in all"
        assert place({**many, "total": 412, "offset": 30}, 30) == "rows 31-60 of 412"
        assert place({**many, "matched": 0}, 0) == "none of 10,000 matched"
        assert place({**many, "offset": 500}, 0) == "0 of 412 matched, 10,000 in all"
        assert place({"matched": 0, "total": 0, "offset": 0}, 0) == "none"


class TestAmounts:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0, "0s"), (0.04, "0.0s"), (0.4, "0.4s"), (9.96, "9s"), (12.7, "12s"), (59.9, "59s"), (192, "3m12s"),
            (3600, "1h00m"), (7500, "2h05m"), (86_400 * 3 + 4 * 3600, "3d04h"),
        ],
    )  # fmt: skip
    def test_ages_are_short(self, seconds: float, words: str) -> None:
        assert amounts.age(seconds) == words

    @given(st.floats(0, 1e9))
    def test_an_age_can_be_typed_into_a_filter(self, seconds: float) -> None:
        assert parse_duration(amounts.age(seconds)) == pytest.approx(seconds, rel=0.11, abs=0.05)

    @pytest.mark.parametrize(
        ("count", "words"),
        [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (12_345, "12.3kB"),
            (99_960, "100kB"),
            (999_600, "1.0MB"),
            (5e12, "5000GB"),
        ],
    )
    def test_sizes_are_short(self, count: float, words: str) -> None:
        assert amounts.size(count) == words

    @pytest.mark.parametrize(("per_s", "words"), [(0, "0/s"), (0.31, "0.3/s"), (9.97, "10/s"), (1200, "1,200/s")])
    def test_rates_are_short(self, per_s: float, words: str) -> None:
        assert amounts.rate(per_s) == words

    def test_lags_are_milliseconds_until_they_are_bad(self) -> None:
        assert [amounts.lag(seconds) for seconds in (0.0004, 0.012, 0.5, 2)] == ["0.4ms", "12ms", "500ms", "2.0s"]

    def test_a_sparkline_ends_with_the_newest_and_tells_nothing_from_something(self) -> None:
        assert amounts.sparkline([0, 1, 50, 100], 6) == "  ▁▂▅█"
        assert amounts.sparkline([9, 9, 0, 4], 2) == "▁█"
        assert amounts.sparkline([0.001], 1, top=1) == "▂"
        assert amounts.sparkline([0, 5], 2, ascii_only=True) == "_#"
        assert amounts.sparkline([], 3) == "   "


class TestManyNodes:
    def test_a_connection_says_on_which_node_it_is_where_there_are_several(self) -> None:
        rows = [connection_row(1, node="web-1:8765"), connection_row(2, node="web-2:8765")]

        alone = [column.name for column in columns_of(page("connections", rows=rows[:1], nodes=["web-1:8765"]))]
        several = page("connections", rows=rows, nodes=["web-1:8765", "web-2:8765"])
        lines = [line.plain for line in table(columns_of(several), rows, 80)]

        assert "node" not in alone
        assert lines[0].split()[:3] == ["connection", "node", "user"]
        assert lines[2].split()[:2] == ["2", "web-2:8765"]

    def test_what_may_be_counted_twice_is_at_most_so_many(self) -> None:
        rows = [upload_row(0, followers=31, at_most=True, nodes=["a", "b"]), upload_row(1, followers=3, nodes=["a"])]
        several = page("uploads", rows=rows, nodes=["a", "b"], at_most=True)

        plain = [line.plain for line in table(columns_of(several), rows, 160)]
        ascii_only = [line.plain for line in table(columns_of(several, ascii_only=True), rows, 160, ascii_only=True)]

        assert "≤31" in plain[1]
        assert "≤" not in plain[2]
        assert "<=31" in ascii_only[1]
        assert place(several, 2) == "rows 1-2 of at most 2"

    def test_connections_of_a_user_are_told_with_their_nodes(self) -> None:
        held = [{"upload": "u", "state": "running", "percent": 20, "held_by": ["a/1"]}]
        row = follows_row(1, user="alice", connections=["a/1", "b/7"], uploads=1, follows=held)

        lines = [line.plain for line in table(columns_of(page("follows", rows=[row])), [row], 100)]

        assert lines[1].split() == ["alice", "a/1,", "b/7", "1", "u", "20", "%", "(a/1)"]

    @pytest.mark.parametrize("width", [80, 160])
    def test_nodes_are_a_table_that_says_who_is_silent_and_who_has_lost_its_broker(self, width: int) -> None:
        rows = [
            node_row("web-1:8765", lag_s=0.0123),
            node_row("web-2:8765", broker_ready=False),
            node_row("w3", state="silent"),
        ]

        lines = [line.plain for line in table(columns_of(page("nodes", rows=rows)), rows, width)]

        assert lines[0].split()[:3] == ["name", "state", "connections"]
        assert lines[1].split()[:3] == ["web-1:8765", "ready", "506"]
        assert [line.split()[1] for line in lines[2:]] == ["away", "silent"]
        assert "12ms" in lines[1]
        assert ("ws://" in lines[1]) is (width == 160)
        assert "3m12s" in lines[1]
