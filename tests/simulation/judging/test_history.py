"""A history that grows with its log is the same as one that is made of the whole."""

import gc
import weakref
from typing import Any

import pytest

from tests.simulation.judging.histories import CAT, DOG, Story
from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws.simulation.judging.disturbances import SOON_S
from vuemantics_ws.simulation.judging.history import History, LiveHistory
from vuemantics_ws.simulation.log import Closed, Log, Measured, Opened


def told() -> Story:
    story = Story().joins("desk").joins("tablet").follows("desk", CAT).follows("tablet", DOG).publishes(CAT, 1, 1)
    story.gets("desk", CAT, 1, 1).gives_up("desk", CAT).publishes(CAT, 1, 2, end=True).joins("phone").follows("phone", CAT)
    return story.gets("phone", CAT, 1, 2, end=True).waits().is_over()


def shape(history: History) -> list[Any]:
    windows = [(w.upload_id, w.cause, w.start, w.end, w.certain, len(w.states)) for w in history.windows]
    connections = [(c.number, c.authenticated_at, c.closed, c.records) for c in history.connections.values()]
    return [windows, connections, history.published, history.soon_s, history.joined, history.ends_at, history.records]


def test_taking_one_record_after_the_other_gives_the_same() -> None:
    records = told().records
    grown = History(records[:1])

    for number, record in enumerate(records[1:], start=2):
        grown.take(record)
        assert shape(grown) == shape(History(records[:number]))

    assert [law.verdict for law in check_laws(grown)] == [law.verdict for law in check_laws(History(records))]


def test_it_follows_a_log_from_its_beginning_or_from_now_on() -> None:
    log = Log()
    early = LiveHistory(log)
    assert not early.has_begun

    records = told().records
    for record in records[:5]:
        log.append(record)
    late = LiveHistory(log)
    for record in records[5:]:
        log.append(record)

    assert early.has_begun
    assert shape(early.history) == shape(late.history) == shape(History(records))


def test_an_observer_that_was_late_takes_more_for_soon() -> None:
    history = History(told().records)

    history.take(Measured(history.ends_at, {}, 0.5))
    history.take(Measured(history.ends_at, {}, 0.1))

    assert history.soon_s == SOON_S + 0.5


def test_a_log_begins_with_its_beginning() -> None:
    with pytest.raises(ValueError, match="begins with its Began"):
        History(told().records[1:])


def test_what_nobody_watches_is_forgotten_with_the_data() -> None:
    story = Story().joins("desk").publishes(CAT, 1, 2).breaks("redis.flush", loses_data=True).mends("redis.flush").waits(10)
    story.follows("desk", CAT, known=False).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).waits()

    assert [law.name for law in check_laws(story.is_over().history()) if law.verdict == "violated"] == []


def test_what_is_watched_is_not_forgotten() -> None:
    story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 2).gets("desk", CAT, 1, 2)
    story.breaks("redis.flush", loses_data=True).mends("redis.flush").waits(10).joins("phone").follows(
        "phone", CAT, known=False
    )

    broken = [law.name for law in check_laws(story.waits().is_over().history()) if law.verdict == "violated"]

    assert "no seam" in broken


def test_it_goes_when_nobody_has_it_any_more_and_needs_no_collector() -> None:
    """Where one run follows the other, the collector leaves out what was there before: it would never look at it."""
    log = Log(told().records)
    live = LiveHistory(log)
    assert list(live.history.owed())
    histories = [weakref.ref(History(log)), weakref.ref(live.history)]

    gc.disable()
    try:
        del log, live
        assert [history() for history in histories] == [None, None]
    finally:
        gc.enable()


def test_what_led_to_a_record_has_the_clients_other_connections() -> None:
    story = Story().joins("desk").follows("desk", CAT).joins("tablet").leaves("desk", code=1006).joins("desk")
    story.publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)
    history = story.history()

    shown = history.about(3, CAT, until=history.records[-1])

    assert [(record.connection, record.code) for record in shown if isinstance(record, Closed)] == [(1, 1006)]
    assert [record.connection for record in shown if isinstance(record, Opened)] == [1, 3]
