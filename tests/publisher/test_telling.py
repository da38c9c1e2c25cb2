"""Which versions a block's events get, against the judge that will judge them."""

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.core.upload import Event, Upload, Verdict, Version
from vuemantics_ws.errors import BadEvent
from vuemantics_ws.messages import VERSION_NUMBER_MAX, Stage, UploadCompleted, UploadFailed, read_upload_message
from vuemantics_ws.publisher.telling import Became, Progress, Telling, when

_MOMENTS = count()


def says(telling: Telling, percent: float, **what: object) -> None:
    said = {"stage": Stage.VISION_ANALYSIS, "message": None, "audit_score": None, **what}
    number = next(telling.numbers)
    telling.newest = Progress(number=number, said_at=next(_MOMENTS), percent=percent, **said)  # type: ignore[arg-type]


def ends(telling: Telling, description: str = "a beach") -> None:
    telling.end = UploadCompleted(
        upload_id=telling.upload_id, description=description, audit_score=80, timestamp=when(next(_MOMENTS))
    )


class House:
    """An upload with its judge, at a time that stands still."""

    def __init__(self) -> None:
        self.upload = Upload()
        self.versions: list[Version] = []

    def judge(self, event: Event) -> Receipt:
        verdict, version = self.upload.judge(event, 0.0)
        if verdict is Verdict.ACCEPTED:
            assert version is not None
            self.versions.append(version)
        return Receipt(verdict, version, 0, False)

    def hears(self, telling: Telling, *, is_straggler: bool = False) -> list[Became]:
        """Until it has no more to say."""
        became: list[Became] = []
        while (event := telling.next_event()) is not None:
            became.append(telling.take(self.judge(event), is_straggler=is_straggler))
            assert len(became) < 10
        return became

    def is_ended_by_silence(self, telling: Telling) -> None:
        message = b'{"action":"upload_failed","upload_id":"a","error_message":"silence","timestamp":"2026-01-01T00:00:00Z"}'
        self.judge(Event.read(message, presumed=True))


def telling() -> Telling:
    return Telling("a", "alice")


def event_of(telling: Telling) -> Event:
    event = telling.next_event()
    assert event is not None
    return event


def test_the_first_event_has_no_version_and_those_after_it_count_up_from_its_receipt() -> None:
    house, mine = House(), telling()
    versions = []

    for percent in (10, 20, 30):
        says(mine, percent)
        versions.append(event_of(mine).version)
        house.hears(mine)

    assert versions == [None, Version(1, 2), Version(1, 3)]
    assert house.versions == [(1, 1), (1, 2), (1, 3)]


def test_only_the_newest_is_said() -> None:
    house, mine = House(), telling()

    for percent in range(10):
        says(mine, percent)

    assert house.hears(mine) == [Became.PUBLISHED]
    assert mine.conflated == 9
    assert not mine.has_more


def test_an_end_replaces_progress_and_is_the_last_word() -> None:
    house, mine = House(), telling()
    says(mine, 10)
    house.hears(mine)
    says(mine, 20)
    ends(mine)
    says(mine, 30)

    assert house.hears(mine) == [Became.PUBLISHED]

    assert house.upload.head is not None
    assert house.upload.head.terminal
    assert house.hears(mine) == []


def test_what_was_not_answered_is_asked_again_in_the_same_bytes() -> None:
    house, mine = House(), telling()
    says(mine, 10)
    first = event_of(mine)
    house.judge(first)  # and the answer is lost
    mine.was_not_answered()

    again = event_of(mine)

    assert again.published == first.published
    assert house.hears(mine) == [Became.PUBLISHED]
    assert house.versions == [(1, 1)]


def test_what_was_held_up_on_its_way_overtakes_nothing() -> None:
    house, mine = House(), telling()
    says(mine, 10)
    house.hears(mine)
    says(mine, 20)
    held_up = event_of(mine)
    mine.was_not_answered()
    says(mine, 30)
    house.hears(mine)

    late = house.judge(held_up)

    assert late.verdict is Verdict.STALE


def test_a_job_that_is_run_again_after_a_crash_continues_its_attempt() -> None:
    house, crashed, again = House(), telling(), telling()
    says(crashed, 40)
    house.hears(crashed)

    says(again, 10)
    ends(again)
    became = house.hears(again)

    assert became == [Became.PUBLISHED]
    assert house.versions == [(1, 1), (1, 2)]


def test_a_job_that_is_run_again_after_its_failure_opens_the_next_attempt_at_once() -> None:
    house, failed, again = House(), telling(), telling()
    failed.end = UploadFailed(upload_id="a", error_message="no memory", timestamp=when(0))
    house.hears(failed)

    says(again, 10)
    became = house.hears(again)

    assert became == [Became.TO_REPEAT, Became.PUBLISHED]
    assert house.versions == [(1, 1), (2, 1)]


def test_a_worker_that_returns_after_it_was_given_up_opens_the_next_attempt() -> None:
    house, slow = House(), telling()
    says(slow, 10)
    house.hears(slow)
    house.is_ended_by_silence(slow)

    ends(slow)
    house.hears(slow)

    assert house.versions == [(1, 1), (1, 2), (2, 1)]
    assert house.upload.head is not None
    assert not house.upload.head.presumed


def test_a_straggler_of_an_attempt_that_this_publisher_ended_is_dropped() -> None:
    house, mine, other = House(), telling(), telling()
    for block in (mine, other):
        says(block, 10)
        house.hears(block)
    ends(mine)
    house.hears(mine)

    says(other, 20)
    became = house.hears(other, is_straggler=True)

    assert became[-1] is Became.DROPPED
    assert house.versions == [(1, 1), (1, 2), (1, 3)]


def test_an_end_is_never_a_straggler() -> None:
    house, mine, other = House(), telling(), telling()
    ends(mine)
    house.hears(mine)

    ends(other, "another one")
    became = house.hears(other, is_straggler=True)

    assert became == [Became.PUBLISHED]
    assert house.versions == [(1, 1), (2, 1)]


def test_an_end_whose_answer_was_lost_does_not_end_the_regeneration_after_it() -> None:
    house, mine, regeneration = House(), telling(), telling()
    says(mine, 10)
    house.hears(mine)
    ends(mine)
    house.judge(event_of(mine))
    mine.was_not_answered()
    says(regeneration, 0, stage=Stage.QUEUED)
    house.hears(regeneration)

    became = house.hears(mine)

    assert became == [Became.SUPERSEDED]
    assert house.versions[-1] == (2, 1)


def test_where_the_seqs_are_used_up_the_next_attempt_begins() -> None:
    house, mine = House(), telling()
    message = b'{"action":"upload_failed","upload_id":"a","error_message":"x","timestamp":"2026-01-01T00:00:00Z",'
    house.judge(Event.read(message + b'"attempt":1,"seq":%d}' % (VERSION_NUMBER_MAX - 1)))
    mine._version = Version(1, VERSION_NUMBER_MAX)

    ends(mine)
    house.hears(mine)

    assert house.versions[-1] == (2, 1)


@pytest.mark.parametrize(
    "what",
    [{"stage": "audit"}, {"message": 5}, {"message": "\ud800"}, {"audit_score": 101}, {"message": "x" * 70_000}],
    ids=str,
)
def test_what_cannot_be_said_is_refused_once_and_what_comes_after_it_is_not(what: dict[str, object]) -> None:
    house, mine = House(), telling()
    says(mine, 10, **what)

    with pytest.raises(BadEvent):
        mine.next_event()

    assert mine.next_event() is None
    says(mine, 20)
    assert house.hears(mine) == [Became.PUBLISHED]


@pytest.mark.parametrize(("percent", "said"), [(-5, 0), (99.9, 99), (1e9, 100), (float("inf"), 100), (True, 1)])
def test_a_percent_is_brought_into_its_range(percent: float, said: int) -> None:
    mine = telling()
    says(mine, percent)

    message = read_upload_message(event_of(mine).published)

    assert message.payload.progress_percent == said  # type: ignore[union-attr]


@pytest.mark.parametrize("percent", ["half", float("nan"), [1]])
def test_a_percent_that_is_no_number_cannot_be_said(percent: float) -> None:
    mine = telling()
    says(mine, percent)

    with pytest.raises(BadEvent, match="expected a percent from 0 to 100"):
        mine.next_event()


def _ask(house: House, block: Telling) -> None:
    event = block.next_event()
    if event is not None:
        block.take(house.judge(event), is_straggler=False)


def _ask_and_lose_the_answer(house: House, block: Telling) -> None:
    event = block.next_event()
    if event is not None:
        house.judge(event)
        block.was_not_answered()


def _ask_in_vain(house: House, block: Telling) -> None:
    if block.next_event() is not None:
        block.was_not_answered()


def _say(house: House, block: Telling) -> None:
    says(block, 50)


_STEPS: list[Callable[[House, Telling], None]] = [
    *(_ask, _ask_and_lose_the_answer, _ask_in_vain, _say),
    House.is_ended_by_silence,
]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(_STEPS)), max_size=60))
def test_however_workers_and_answers_meet_each_end_is_heard_and_the_last_one_stands(
    history: list[tuple[int, Callable[[House, Telling], None]]],
) -> None:
    house, blocks = House(), [telling() for _ in range(3)]
    for index, step in history:
        step(house, blocks[index])

    for index, block in enumerate(blocks):
        ends(block, f"from {index}")
        became = house.hears(block)

        assert became[-1] is Became.PUBLISHED
        assert house.upload.head is not None
        assert f"from {index}".encode() in house.upload.head.frame.payload
    assert house.versions == sorted(set(house.versions))
