"""The outbox that transfers state: one frame an upload, replies first, in slices, bounded by construction."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vuemantics_ws.core.outbox import ConflatingOutbox

Outbox = ConflatingOutbox[bytes]
ALL = 1 << 30


def direct(outbox: Outbox, frame: bytes) -> bool:
    return outbox.add_direct(frame, count_max=3, bytes_max=100)


class TestStates:
    def test_a_newer_state_replaces_the_pending_one(self) -> None:
        outbox = Outbox()

        outbox.put_state("u", b"old")
        outbox.put_state("u", b"new")

        assert outbox.take(ALL) == [b"new"]
        assert outbox.conflated == 1
        assert not outbox

    def test_a_replaced_state_keeps_its_place_in_the_line(self) -> None:
        outbox = Outbox()

        outbox.put_state("u", b"u1")
        outbox.put_state("v", b"v1")
        outbox.put_state("u", b"u2")

        assert outbox.take(ALL) == [b"u2", b"v1"]

    def test_a_state_that_has_left_is_not_conflated_with_the_next(self) -> None:
        outbox = Outbox()

        outbox.put_state("u", b"u1")
        first = outbox.take(ALL)
        outbox.put_state("u", b"u2")

        assert [first, outbox.take(ALL)] == [[b"u1"], [b"u2"]]
        assert outbox.conflated == 0

    def test_a_slow_reader_still_gets_the_end_of_every_upload(self) -> None:
        outbox = Outbox()

        for number in range(1_000):
            for upload_id in ("u", "v", "w"):
                outbox.put_state(upload_id, b"%b %d" % (upload_id.encode(), number))

        assert outbox.take(ALL) == [b"u 999", b"v 999", b"w 999"]

    def test_giving_up_removes_what_is_pending_of_that_upload_alone(self) -> None:
        outbox = Outbox()
        outbox.put_state("u", b"u")
        outbox.put_state("v", b"v")

        outbox.discard("u")
        outbox.discard("unheard of")

        assert (outbox.holds("u"), outbox.holds("v")) == (False, True)
        assert outbox.take(ALL) == [b"v"]


class TestWaiting:
    def test_nobody_waits_until_it_is_said(self) -> None:
        outbox = Outbox()
        outbox.put_state("u", b"u1")

        assert (outbox.waits, outbox.waiting_since, outbox.left(9.0)) == (False, None, [])

    def test_a_state_waits_from_the_first_one_that_has_not_left(self) -> None:
        outbox = Outbox()
        outbox.put_state("u", b"u1")

        began = [outbox.wait(1.0), outbox.wait(2.0)]
        outbox.put_state("u", b"u2")
        began.append(outbox.wait(3.0, "u"))
        outbox.put_state("v", b"v1")
        began.append(outbox.wait(4.0, "v"))

        assert began == [1, 0, 0, 1]
        assert outbox.waiting_since == 1.0

    def test_what_has_left_says_once_for_how_long_it_waited(self) -> None:
        outbox = Outbox()
        for number, upload_id in enumerate(("u", "v", "w")):
            outbox.put_state(upload_id, b"x")
            outbox.wait(float(number), upload_id)

        outbox.take(2)
        left = [outbox.left(10.0), outbox.left(10.0)]
        since = outbox.waiting_since
        outbox.take(ALL)
        left.append(outbox.left(11.0))

        assert left == [[10.0, 9.0], [], [9.0]]
        assert since == 2.0
        assert (outbox.waits, outbox.waiting_since) == (False, None)

    def test_what_is_given_up_or_cleared_waits_no_more(self) -> None:
        outbox = Outbox()
        for upload_id in ("u", "v"):
            outbox.put_state(upload_id, b"x")
        outbox.wait(1.0)

        outbox.discard("u")
        given_up = outbox.left(2.0)
        outbox.clear()

        assert given_up == []
        assert (outbox.waits, outbox.waiting_since, outbox.left(3.0)) == (False, None, [])


class TestReplies:
    def test_replies_and_direct_messages_leave_before_states_and_in_order(self) -> None:
        outbox = Outbox()

        outbox.put_state("u", b"state")
        outbox.add_reply(b"reply 1")
        assert direct(outbox, b"direct")
        outbox.add_reply(b"reply 2")

        assert outbox.take(ALL) == [b"reply 1", b"direct", b"reply 2", b"state"]

    def test_replies_are_counted_while_they_wait_so_that_the_reading_can_stop(self) -> None:
        outbox = Outbox()

        outbox.add_reply(b"12345")
        outbox.put_state("u", b"state")
        assert direct(outbox, b"direct")
        waiting = outbox.reply_bytes
        outbox.take(ALL)

        assert (waiting, outbox.reply_bytes) == (5, 0)

    def test_direct_messages_are_bounded_in_number(self) -> None:
        outbox = Outbox()

        taken = [direct(outbox, b"x") for _ in range(5)]

        assert taken == [True, True, True, False, False]
        assert outbox.take(ALL) == [b"x"] * 3

    def test_direct_messages_are_bounded_in_bytes_to_the_last_byte(self) -> None:
        outbox = Outbox()

        taken = [direct(outbox, b"x" * size) for size in (60, 41, 40, 1)]

        assert taken == [True, False, True, False]
        assert outbox.pending_bytes == 100

    def test_what_has_left_makes_room_for_direct_messages(self) -> None:
        outbox = Outbox()
        for _ in range(3):
            direct(outbox, b"x" * 33)

        refused = direct(outbox, b"y")
        outbox.take(1)

        assert not refused
        assert direct(outbox, b"y" * 34)
        assert not direct(outbox, b"z")

    def test_replies_and_states_take_no_room_from_direct_messages(self) -> None:
        outbox = Outbox()

        outbox.add_reply(b"r" * 1_000)
        outbox.put_state("u", b"s" * 1_000)

        assert direct(outbox, b"d" * 100)


class TestSlices:
    def test_one_frame_leaves_even_where_it_is_larger_than_a_slice(self) -> None:
        outbox = Outbox()
        outbox.add_reply(b"r" * 20)
        outbox.put_state("u", b"u" * 20)
        outbox.put_state("v", b"v" * 20)

        slices = [outbox.take(10) for _ in range(4)]

        assert slices == [[b"r" * 20], [b"u" * 20], [b"v" * 20], []]

    def test_a_slice_is_filled_to_the_last_byte_and_no_further(self) -> None:
        outbox = Outbox()
        for upload_id in "uvw":
            outbox.put_state(upload_id, upload_id.encode() * 5)

        slices = [outbox.take(10), outbox.take(10)]

        assert slices == [[b"uuuuu", b"vvvvv"], [b"wwwww"]]

    def test_a_slice_that_replies_have_begun_is_filled_with_states(self) -> None:
        outbox = Outbox()
        outbox.add_reply(b"rrr")
        for upload_id in "uvw":
            outbox.put_state(upload_id, upload_id.encode() * 3)

        assert [outbox.take(9), outbox.take(9)] == [[b"rrr", b"uuu", b"vvv"], [b"www"]]

    def test_a_large_frame_is_not_overtaken_by_a_small_one(self) -> None:
        outbox = Outbox()
        outbox.put_state("u", b"u" * 8)
        outbox.put_state("v", b"v" * 8)
        outbox.put_state("w", b"w")

        assert [outbox.take(10), outbox.take(10)] == [[b"u" * 8], [b"v" * 8, b"w"]]

    def test_an_outbox_that_is_cleared_is_as_new(self) -> None:
        outbox = Outbox()
        outbox.add_reply(b"r")
        direct(outbox, b"d" * 100)
        outbox.put_state("u", b"u")

        outbox.clear()

        assert not outbox
        assert (outbox.pending_bytes, outbox.reply_bytes) == (0, 0)
        assert outbox.take(ALL) == []
        assert direct(outbox, b"d" * 100)

    @given(st.lists(st.integers(0, 30), max_size=30), st.lists(st.integers(0, 30), max_size=30), st.integers(1, 100))
    def test_slices_together_are_everything_once_and_none_is_too_large(
        self, replies: list[int], states: list[int], bytes_max: int
    ) -> None:
        outbox = Outbox()
        for size in replies:
            outbox.add_reply(b"r" * size)
        for number, size in enumerate(states):
            outbox.put_state(str(number), b"s" * size)

        slices = []
        while outbox:
            slices.append(outbox.take(bytes_max))

        assert all(len(taken) == 1 or sum(map(len, taken)) <= bytes_max for taken in slices)
        assert [frame for taken in slices for frame in taken] == [
            *(b"r" * size for size in replies),
            *(b"s" * size for size in states),
        ]
        assert outbox.pending_bytes == 0


@dataclass
class Line:
    """What should be in an outbox, as lists to be looked through."""

    first: list[tuple[str, bytes]] = field(default_factory=list)
    states: list[tuple[str, bytes]] = field(default_factory=list)
    conflated: int = 0

    def put_state(self, upload_id: str, frame: bytes) -> None:
        for place, (other, _) in enumerate(self.states):
            if other == upload_id:
                self.states[place] = (upload_id, frame)
                self.conflated += 1
                return
        self.states.append((upload_id, frame))

    def take(self, bytes_max: int) -> list[bytes]:
        taken: list[bytes] = []
        for line in (self.first, self.states):
            while line and (not taken or sum(map(len, taken)) + len(line[0][1]) <= bytes_max):
                taken.append(line.pop(0)[1])
            if line:
                break
        return taken


class ConflatingOutboxModel(RuleBasedStateMachine):
    """The outbox does what a list that is looked through would do, and never holds more than it may."""

    @initialize()
    def open(self) -> None:
        self.outbox = Outbox()
        self.line = Line()
        self.sent = 0

    @rule(upload_id=st.sampled_from("uvwxyz"), size=st.integers(0, 40))
    def put_state(self, upload_id: str, size: int) -> None:
        frame = self.frame(size)
        self.outbox.put_state(upload_id, frame)
        self.line.put_state(upload_id, frame)

    @rule(size=st.integers(0, 40))
    def add_reply(self, size: int) -> None:
        frame = self.frame(size)
        self.outbox.add_reply(frame)
        self.line.first.append(("reply", frame))

    @rule(size=st.integers(0, 60))
    def add_direct(self, size: int) -> None:
        frame = self.frame(size)
        waiting = [len(other) for kind, other in self.line.first if kind == "direct"]
        room = len(waiting) < 3 and sum(waiting) + len(frame) <= 100
        assert direct(self.outbox, frame) is room
        if room:
            self.line.first.append(("direct", frame))

    @rule(upload_id=st.sampled_from("uvwxyz"))
    def discard(self, upload_id: str) -> None:
        self.outbox.discard(upload_id)
        self.line.states = [state for state in self.line.states if state[0] != upload_id]

    @rule(bytes_max=st.integers(1, 120))
    def take(self, bytes_max: int) -> None:
        assert self.outbox.take(bytes_max) == self.line.take(bytes_max)

    @rule()
    @precondition(lambda self: self.outbox.pending_bytes > 200)
    def clear(self) -> None:
        self.outbox.clear()
        self.line.first, self.line.states = [], []

    @invariant()
    def holds_what_the_line_holds(self) -> None:
        waiting = [*self.line.first, *self.line.states]
        assert bool(self.outbox) is bool(waiting)
        assert self.outbox.pending_bytes == sum(len(frame) for _, frame in waiting)
        assert self.outbox.reply_bytes == sum(len(frame) for kind, frame in self.line.first if kind == "reply")
        assert self.outbox.conflated == self.line.conflated
        held = {upload_id for upload_id, _ in self.line.states}
        assert all(self.outbox.holds(upload_id) is (upload_id in held) for upload_id in "uvwxyz")

    def frame(self, size: int) -> bytes:
        """No two are alike."""
        self.sent += 1
        return b"%d:" % self.sent + b"." * size


TestConflatingOutboxModel = ConflatingOutboxModel.TestCase
