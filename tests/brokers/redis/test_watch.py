"""What a watch makes of what it hears, one read at a time."""

from tests.events import progress
from vuemantics_ws.brokers.redis.watch import MESSAGES_MAX, Watch
from vuemantics_ws.core.upload import Head

NOW = 1_000.0


def told(
    seq: int, incarnation: str = "a", *, attempt: int = 1, digest: str = "", flags: str = "v", owner: str = "alice"
) -> bytes:
    """A state as Redis tells it."""
    header = f"{attempt} {seq} {flags} {incarnation} 0 {digest or f'{attempt:04x}{seq:04x}'} - {owner}\n"
    return header.encode() + progress(upload_id="u", version=(attempt, seq))


class Heard:
    """A watch that knows what it is told first, and what it calls."""

    def __init__(self, *known: bytes) -> None:
        self.heard = 0
        self.said: list[bytes] = []
        self.watch = Watch(
            "u",
            lambda head: None,
            heard=lambda watch: self._count(),
            subscribed=lambda watch: None,
            said=lambda upload_id, message: self.said.append(message),
        )
        self.read(*known)
        self.heard = 0

    def read(self, *messages: bytes) -> bool:
        for message in messages:
            self.watch.on_message(message)
        return self.watch.read(NOW)

    def _count(self) -> None:
        self.heard += 1

    @property
    def head(self) -> Head:
        assert self.watch.stored is not None
        return self.watch.stored.head

    @property
    def knows(self) -> tuple[tuple[int, int], bytes] | None:
        stored = self.watch.stored
        return None if stored is None else (tuple(stored.head.version), stored.incarnation)  # type: ignore[return-value]


class TestOneIncarnation:
    def test_of_one_read_the_last_is_known_and_it_says_once_that_there_is_something(self) -> None:
        heard = Heard()

        doubtful = heard.read(told(1), told(2), told(3))

        assert heard.knows == ((1, 3), b"a")
        assert heard.heard == 1
        assert not doubtful

    def test_nothing_that_came_before_a_state_of_the_same_incarnation_is_looked_at(self) -> None:
        heard = Heard(told(1))

        doubtful = heard.read(b"not even a state", told(3))

        assert heard.knows == ((1, 3), b"a")
        assert not doubtful

    def test_what_is_older_changes_nothing(self) -> None:
        heard = Heard(told(3))

        doubtful = heard.read(told(2))

        assert heard.knows == ((1, 3), b"a")
        assert not doubtful

    def test_the_next_read_has_only_what_came_since(self) -> None:
        heard = Heard()

        heard.read(told(1), told(2))
        heard.read()
        heard.read(told(3))

        assert heard.heard == 2
        assert heard.knows == ((1, 3), b"a")


class TestAnotherIncarnation:
    def test_what_is_below_is_doubtful(self) -> None:
        heard = Heard(told(5))

        doubtful = heard.read(told(1, "b"))

        assert heard.knows == ((1, 5), b"a")
        assert doubtful

    def test_what_is_above_is_taken_and_is_the_one_to_go_by(self) -> None:
        heard = Heard(told(5))

        doubtful = heard.read(told(1, "b", attempt=2))
        later = heard.read(told(2, "b", attempt=2))

        assert heard.knows == ((2, 2), b"b")
        assert (doubtful, later) == (False, False)

    def test_the_same_state_is_what_redis_was_given_back(self) -> None:
        heard = Heard(told(5))

        doubtful = heard.read(told(5, "b"))

        assert heard.knows == ((1, 5), b"b")
        assert not doubtful

    def test_an_equal_version_with_other_bytes_is_doubtful(self) -> None:
        heard = Heard(told(5))

        doubtful = heard.read(told(5, "b", digest="ff"))

        assert heard.knows == ((1, 5), b"a")
        assert doubtful

    def test_what_was_told_before_redis_lost_it_is_not_lost_here(self) -> None:
        heard = Heard(told(4))

        doubtful = heard.read(told(5), told(1, "b"))

        assert heard.knows == ((1, 5), b"a")
        assert doubtful

    def test_nor_where_nothing_was_known(self) -> None:
        heard = Heard()

        doubtful = heard.read(told(5), told(1, "b"))

        assert heard.knows == ((1, 5), b"a")
        assert doubtful


class TestAnEnd:
    """Nothing follows it within its attempt, whatever a Redis says that did not know of it."""

    def test_what_is_above_it_under_another_incarnation_is_doubtful(self) -> None:
        heard = Heard(told(5, flags="t"))

        doubtful = heard.read(told(6, "b"))

        assert heard.knows == ((1, 5), b"a")
        assert doubtful

    def test_the_next_attempt_is_taken(self) -> None:
        heard = Heard(told(5, flags="t"))

        doubtful = heard.read(told(1, "b", attempt=2))

        assert heard.knows == ((2, 1), b"b")
        assert not doubtful

    def test_one_that_was_told_before_redis_lost_it_counts(self) -> None:
        heard = Heard(told(4))

        doubtful = heard.read(told(5, flags="t"), told(9, "b"))

        assert heard.knows == ((1, 5), b"a")
        assert doubtful

    def test_much_that_was_told_after_it_before_anybody_read_does_not_push_it_out(self) -> None:
        heard = Heard(told(4))

        doubtful = heard.read(told(5, flags="t"), *(told(seq, "b") for seq in range(1, 4 * MESSAGES_MAX)))

        assert heard.knows == ((1, 5), b"a")
        assert doubtful


class TestAnOwner:
    def test_one_whom_redis_has_found_out_is_known_though_the_state_is(self) -> None:
        heard = Heard(told(5, owner=""))
        state = heard.head

        doubtful = heard.read(told(5))

        assert heard.head == state._replace(owner="alice")
        assert not doubtful

    def test_the_same_state_is_no_news(self) -> None:
        heard = Heard(told(5))
        state = heard.head

        heard.read(told(5, "b"))

        assert heard.head is state

    def test_whom_redis_has_lost_it_is_given_back(self) -> None:
        heard = Heard(told(5))

        doubtful = heard.read(told(6, "b", owner=""))

        assert (heard.knows, heard.head.owner) == (((1, 6), b"b"), "alice")
        assert doubtful


def test_what_is_said_to_followers_is_no_state() -> None:
    heard = Heard(told(1))

    heard.read(b"!node\nhello")

    assert heard.said == [b"!node\nhello"]
    assert heard.heard == 0
    assert heard.knows == ((1, 1), b"a")
