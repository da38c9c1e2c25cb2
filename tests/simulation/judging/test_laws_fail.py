"""Each law is seen to fall where a real server breaks it, over real sockets, and to hold where the server does not."""

import asyncio
from pathlib import Path

import pytest

from tests.simulation.judging.broken_node import FAULTS
from tests.simulation.judging.histories import Story
from tests.simulation.judging.planted_faults import LAWS, PLANTED, Planted
from tests.simulation.judging.small_worlds import HOUSEHOLD, SLOW_READER, play
from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws.simulation.playing import emptying

ROOT = Path(__file__).parents[3]
EMPTYING_MARGIN_S = 2.0
"""What is never going to be empty need not be waited for as long as usual."""


async def play_all(planted: list[Planted]) -> list[Report]:
    """Each on a node of its own, at the same time."""
    return await asyncio.gather(*(play(one.world, fault=one.fault) for one in planted))


def _said(report: Report) -> dict[str, str]:
    return {finding.name: finding.violation.message for finding in report.laws if finding.violation}


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_a_law_falls_where_a_server_breaks_it(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(emptying, "EMPTYING_MARGIN_S", EMPTYING_MARGIN_S)
    planted = [one for one in PLANTED if one.law == law]

    reports = asyncio.run(play_all(planted))

    for one, first in zip(planted, reports, strict=True):
        report = first
        if not one.is_said_by(_said(first).get(law, "")):  # a busy machine may have come too late for what it breaks
            (report,) = asyncio.run(play_all([one]))
        said = _said(report)
        assert one.is_said_by(said.get(law, "nothing")), (one.fault, said)
        assert {finding.name for finding in report.laws if finding.verdict != "held"} <= {law, *one.besides}, (one.fault, said)


@pytest.mark.slow
def test_every_law_holds_in_the_same_worlds_where_nothing_is_broken() -> None:
    async def main() -> list[Report]:
        return list(await asyncio.gather(play(HOUSEHOLD), play(SLOW_READER)))

    reports = asyncio.run(main())

    for report in reports:
        assert {finding.name: finding.verdict for finding in report.laws} == dict.fromkeys(LAWS, "held"), report.broken()


def test_every_law_has_a_fault_that_breaks_it_and_every_fault_a_law() -> None:
    assert [finding.name for finding in check_laws(Story().history())] == list(LAWS)
    assert sorted(one.fault for one in PLANTED) == sorted(FAULTS)
