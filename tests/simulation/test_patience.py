"""How long a run waits for what its file expects, and for nothing else."""

import pytest

from tests.simulation.judging.histories import Story
from tests.simulation.playing import plan
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Closed
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.playing.patience import closes_may_come_until_s, last_action_s, messages_may_come_until_s


def expecting(*expected: str, client: str = "{id: desk, user: alice}") -> Plan:
    lines = [
        "users: {alice: {}}",
        "uploads: [{id: cat, owner: alice, publisher: none, pipeline: image}]",
        f"clients: [{client}]",
        *(["expect:"] if expected else []),
        *(f"  - {one}" for one in expected),
    ]
    return plan("\n".join(lines), duration="1m")


def joined() -> Story:
    return Story().waits(1.0).joins("desk")


@pytest.mark.parametrize(
    ("expected", "until_s"),
    [
        ("close: {clients: desk, codes: [4001], within: 5s}", 5.0),
        ("close: {clients: desk, codes: [4005, 1006], between: 30s..31s}", 31.0),
        ("close: {clients: desk, codes: [4001], between: 4s..9s, within: 6s}", 6.0),
    ],
)
def test_a_close_is_waited_for_from_the_join_on(expected: str, until_s: float) -> None:
    assert closes_may_come_until_s(expecting(expected), joined().history()) == pytest.approx(1.01 + until_s)


def test_a_goodbye_is_not_waited_for_unless_it_would_come_too_soon() -> None:
    within = expecting("close: {codes: [1000], within: 50s}")
    between = expecting("close: {codes: [1000], between: 3s..9s}")

    assert closes_may_come_until_s(within, joined().history()) == 0.0
    assert closes_may_come_until_s(between, joined().history()) == pytest.approx(4.01)


def test_a_close_without_a_time_and_one_that_has_come_are_not_waited_for() -> None:
    over = [*joined().records, Closed(2.0, 1, 4001, "", "server")]

    told = joined()
    assert closes_may_come_until_s(expecting("close: {codes: [4001]}"), told.history()) <= told.now
    assert closes_may_come_until_s(expecting("close: {codes: [4001], within: 5s}"), History(over)) == 0.0


def test_outcomes_are_waited_for_as_long_as_they_may_take() -> None:
    file = expecting("terminal: {within: 2s}", "terminal: {within: 5s}", "received: {action: ping, min: 3}")

    assert messages_may_come_until_s(file, 10.0) == 15.0
    assert messages_may_come_until_s(expecting(), 10.0) == 10.0


def test_a_pause_is_something_that_happens() -> None:
    def last_s(reading: str) -> float:
        return last_action_s(expecting(client=f"{{id: desk, user: alice, reading: {reading}}}"))

    assert last_s("{rate: 40kB/s}") == 0.0
    assert last_s("{stop: 5s}") == 5.0
    assert last_s("{stop: 5s, for: 7s}") == 12.0
    assert last_s("{stop: 5m}") == 60.0
