"""The outbox of a manager without a broker: every message in call order, and less only for who does not keep up."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vuemantics_ws.core.outbox import OrderedOutbox
from vuemantics_ws.frame import Frame

MESSAGES_MAX = 4
BYTES_MAX = 200


def frame(text: str) -> Frame:
    return Frame(text.encode())


def add(outbox: OrderedOutbox, text: str, *, ends: str | None = None) -> bool:
    return outbox.add(frame(text), ends=ends, count_max=MESSAGES_MAX, bytes_max=BYTES_MAX)


def drained(outbox: OrderedOutbox) -> list[str]:
    taken = []
    while (next_out := outbox.take()) is not None:
        taken.append(next_out.text)
    return taken


class TestOrder:
    def test_what_is_taken_at_once_is_never_conflated(self) -> None:
        outbox = OrderedOutbox()
        taken = []

        for number in range(5):
            outbox.add_progress("u", frame(str(number)))
            taken += drained(outbox)

        assert taken == ["0", "1", "2", "3", "4"]
        assert outbox.conflated == 0

    def test_messages_of_all_kinds_leave_in_call_order(self) -> None:
        outbox = OrderedOutbox()

        outbox.add_progress("u", frame("u 1"))
        add(outbox, "hello")
        outbox.add_progress("v", frame("v 1"))
        add(outbox, "u ends", ends="u")
        add(outbox, "hello")

        assert drained(outbox) == ["u 1", "hello", "v 1", "u ends", "hello"]

    def test_newer_progress_takes_the_place_of_older_that_waits(self) -> None:
        outbox = OrderedOutbox()

        outbox.add_progress("u", frame("u 1"))
        outbox.add_progress("v", frame("v 1"))
        outbox.add_progress("u", frame("u 2"))

        assert drained(outbox) == ["u 2", "v 1"]
        assert outbox.conflated == 1

    def test_progress_is_never_conflated_across_an_end(self) -> None:
        outbox = OrderedOutbox()

        outbox.add_progress("u", frame("first run 1"))
        outbox.add_progress("u", frame("first run 2"))
        add(outbox, "end", ends="u")
        outbox.add_progress("u", frame("second run 1"))
        outbox.add_progress("u", frame("second run 2"))

        assert drained(outbox) == ["first run 2", "end", "second run 2"]

    def test_the_end_of_one_upload_parts_no_other_s_progress(self) -> None:
        outbox = OrderedOutbox()

        outbox.add_progress("u", frame("u 1"))
        add(outbox, "v ends", ends="v")
        outbox.add_progress("u", frame("u 2"))

        assert drained(outbox) == ["u 2", "v ends"]

    def test_progress_after_older_progress_left_joins_the_end_of_the_line(self) -> None:
        outbox = OrderedOutbox()
        outbox.add_progress("u", frame("u 1"))
        add(outbox, "hello")

        first = outbox.take()
        outbox.add_progress("u", frame("u 2"))

        assert first is not None
        assert [first.text, *drained(outbox)] == ["u 1", "hello", "u 2"]

    def test_progress_before_an_end_that_leaves_does_not_disturb_progress_behind_it(self) -> None:
        outbox = OrderedOutbox()
        outbox.add_progress("u", frame("first run"))
        add(outbox, "end", ends="u")
        outbox.add_progress("u", frame("second run 1"))

        outbox.take()
        outbox.add_progress("u", frame("second run 2"))

        assert drained(outbox) == ["end", "second run 2"]


class TestBounds:
    def test_messages_are_bounded_in_number(self) -> None:
        outbox = OrderedOutbox()

        assert [add(outbox, "x") for _ in range(MESSAGES_MAX + 1)] == [True] * MESSAGES_MAX + [False]

    def test_messages_are_bounded_in_bytes_with_their_headers(self) -> None:
        outbox = OrderedOutbox()

        assert [add(outbox, "x" * 98), add(outbox, "x" * 99), add(outbox, "x" * 98), add(outbox, "")] == [
            True,
            False,
            True,
            False,
        ]

    @pytest.mark.parametrize("ends", [None, "u"])
    def test_a_message_without_room_changes_nothing(self, ends: str | None) -> None:
        outbox = OrderedOutbox()
        outbox.add_progress("u", frame("u 1"))
        for number in range(MESSAGES_MAX):
            add(outbox, str(number))

        refused = add(outbox, "one too many", ends=ends)
        outbox.add_progress("u", frame("u 2"))

        assert not refused
        assert drained(outbox) == ["u 2", "0", "1", "2", "3"]

    def test_progress_takes_no_room_from_messages(self) -> None:
        outbox = OrderedOutbox()

        for number in range(1_000):
            outbox.add_progress("u", frame(str(number) * 100))

        assert [add(outbox, "x") for _ in range(MESSAGES_MAX)] == [True] * MESSAGES_MAX

    def test_what_has_left_makes_room(self) -> None:
        outbox = OrderedOutbox()
        for _ in range(MESSAGES_MAX):
            add(outbox, "x" * 40)

        outbox.take()

        assert add(outbox, "y")
        assert not add(outbox, "y")

    def test_an_outbox_that_is_cleared_is_as_new(self) -> None:
        outbox = OrderedOutbox()
        outbox.add_progress("u", frame("u"))
        for _ in range(MESSAGES_MAX):
            add(outbox, "x" * 40)

        outbox.clear()

        assert not outbox
        assert outbox.take() is None
        assert all(add(outbox, "x" * 40) for _ in range(MESSAGES_MAX))
        outbox.add_progress("u", frame("u"))
        assert drained(outbox) == ["x" * 40] * MESSAGES_MAX + ["u"]


class Waiting(NamedTuple):
    text: str
    progress_of: str | None
    ends: str | None


class OrderedOutboxModel(RuleBasedStateMachine):
    """The outbox does what a list that is looked through from its end would do."""

    @initialize()
    def open(self) -> None:
        self.outbox = OrderedOutbox()
        self.line: list[Waiting] = []
        self.sent = 0
        self.conflated = 0
        self.ends_between = 0

    @rule(upload_id=st.sampled_from("uvw"))
    def add_progress(self, upload_id: str) -> None:
        said = Waiting(self.text(), upload_id, None)
        self.outbox.add_progress(upload_id, frame(said.text))
        for place in reversed(range(len(self.line))):
            if self.line[place].ends == upload_id:
                break
            if self.line[place].progress_of == upload_id:
                self.line[place] = said
                self.conflated += 1
                return
        self.line.append(said)

    @rule(ends=st.none() | st.sampled_from("uvw"), size=st.integers(0, 80))
    def add(self, ends: str | None, size: int) -> None:
        said = Waiting(self.text() + "." * size, None, ends)
        waiting = [len(frame(other.text)) for other in self.line if other.progress_of is None]
        room = len(waiting) < MESSAGES_MAX and sum(waiting) + len(frame(said.text)) <= BYTES_MAX
        assert add(self.outbox, said.text, ends=ends) is room
        if room:
            self.line.append(said)

    @rule()
    def take(self) -> None:
        taken = self.outbox.take()
        assert (taken.text if taken else None) == (self.line.pop(0).text if self.line else None)

    @invariant()
    def is_bounded_by_uploads_and_the_ends_between(self) -> None:
        assert bool(self.outbox) is bool(self.line)
        assert self.outbox.conflated == self.conflated
        assert len(self.outbox._line) == len(self.line) <= 3 * (1 + MESSAGES_MAX) + MESSAGES_MAX
        assert len(self.outbox._newest_progress) <= 3

    def teardown(self) -> None:
        assert drained(self.outbox) == [said.text for said in self.line]
        assert not self.outbox._newest_progress

    def text(self) -> str:
        """No two are alike."""
        self.sent += 1
        return str(self.sent)


TestOrderedOutboxModel = OrderedOutboxModel.TestCase

_calls = st.lists(st.tuples(st.sampled_from(["progress", "end", "other"]), st.sampled_from("uvw")), max_size=60)


class TestEveryReader:
    @given(_calls)
    def test_one_that_keeps_up_gets_every_message_in_call_order(self, calls: list[tuple[str, str]]) -> None:
        outbox = OrderedOutbox()
        got = []

        for number, (kind, upload_id) in enumerate(calls):
            _say(outbox, kind, upload_id, number)
            got += drained(outbox)

        assert got == [f"{number} {kind} {upload_id}" for number, (kind, upload_id) in enumerate(calls)]

    @given(_calls, st.lists(st.booleans(), min_size=60, max_size=60))
    def test_one_that_does_not_misses_only_progress_that_newer_progress_of_the_same_run_replaced(
        self, calls: list[tuple[str, str]], reads: list[bool]
    ) -> None:
        outbox = OrderedOutbox()
        got = []

        for number, (kind, upload_id) in enumerate(calls):
            _say(outbox, kind, upload_id, number)
            if reads[number] and (taken := outbox.take()) is not None:
                got.append(taken.text)
        got += drained(outbox)

        for upload_id in "uvw":
            said = [f"{number} {kind} {of}" for number, (kind, of) in enumerate(calls) if of == upload_id and kind != "other"]
            heard = [text for text in got if text.endswith(upload_id) and "other" not in text]
            assert heard == [text for text in said if text in heard]  # in call order
            for missed in set(said) - set(heard):
                assert "progress" in missed
                assert "progress" in said[said.index(missed) + 1]  # what replaced it
        others = [f"{number} other {of}" for number, (kind, of) in enumerate(calls) if kind == "other"]
        assert [text for text in got if "other" in text] == others


def _say(outbox: OrderedOutbox, kind: str, upload_id: str, number: int) -> None:
    said = frame(f"{number} {kind} {upload_id}")
    if kind == "progress":
        outbox.add_progress(upload_id, said)
    else:
        assert outbox.add(said, ends=upload_id if kind == "end" else None, count_max=256, bytes_max=1 << 20)
