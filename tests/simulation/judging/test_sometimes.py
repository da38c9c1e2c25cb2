"""A scenario that claims to be about something is told when it never happened."""

import pytest

from tests.simulation.judging.expecting import CAT, DOG, both_follow, desk_and_phone_learn, judged, story
from tests.simulation.judging.histories import Story
from vuemantics_ws.simulation.format.probes import PROBES
from vuemantics_ws.simulation.judging.expectations.sometimes import SEEN


def away_and_back() -> Story:
    return both_follow().leaves("desk", code=1012).joins("desk")


def nobody_there() -> Story:
    told = both_follow().leaves("desk").leaves("phone").publishes(CAT, 1, 1)
    return told.joins("desk").gets("desk", CAT, 1, 1)


def late() -> Story:
    told = desk_and_phone_learn().joins("desk")
    return told.gets("desk", CAT, 1, 1, end=True)


HAPPENED: dict[str, Story] = {
    "outbox used": story().measures(outbox_bytes=17),
    "conflated": both_follow().publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).publishes(CAT, 1, 2).publishes(CAT, 1, 3).gets(
        "desk", CAT, 1, 3
    ),
    "reconnected": away_and_back(),
    "joined after the end": late(),
    "event published while no subscriber was connected": nobody_there(),
    "upload regenerated": story().publishes(CAT, 1, 1, end=True).publishes(CAT, 2, 1),
    "event dropped": story().publishes(CAT, 1, 1).publishes(CAT, 1, 1, verdict="duplicate", messy=True),
    "subscribed between state write and publish": story().joins("desk").asks("desk", CAT).publishes(CAT, 1, 1).is_told(
        "desk", CAT, known=True
    ),
}  # fmt: skip

DID_NOT: dict[str, Story] = {
    "outbox used": story().measures(connections=3),
    "conflated": both_follow().publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).publishes(CAT, 1, 3).gets("desk", CAT, 1, 3),
    "reconnected": both_follow(),
    "joined after the end": desk_and_phone_learn(),
    "event published while no subscriber was connected": desk_and_phone_learn().publishes(DOG, 1, 1),
    "upload regenerated": story().publishes(CAT, 1, 1, end=True).publishes(CAT, 1, 2, verdict="after_terminal"),
    "event dropped": story().publishes(CAT, 1, 1),
    "subscribed between state write and publish": both_follow().publishes(CAT, 1, 1),
}


def test_every_probe_of_the_format_is_one() -> None:
    assert set(SEEN) == set(PROBES) == set(HAPPENED) == set(DID_NOT)


@pytest.mark.parametrize("probe", PROBES)
def test_what_happened_is_seen(probe: str) -> None:
    finding = judged(f"sometimes: {{that: {probe}}}", HAPPENED[probe])

    assert (finding.verdict, finding.samples) == ("held", 1)


@pytest.mark.parametrize("probe", PROBES)
def test_what_did_not_happen_proves_nothing(probe: str) -> None:
    assert judged(f"sometimes: {{that: {probe}}}", DID_NOT[probe]).verdict == "vacuous"


@pytest.mark.parametrize("probe", ["conflated", "reconnected", "joined after the end"])
def test_of_somebody_else_it_does_not_count(probe: str) -> None:
    assert judged(f"sometimes: {{that: {probe}, clients: desk}}", HAPPENED[probe]).verdict == "held"
    assert judged(f"sometimes: {{that: {probe}, clients: tablet}}", HAPPENED[probe]).verdict == "vacuous"
