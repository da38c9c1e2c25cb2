"""The pictures of the documentation show what the commands show."""

from xml.etree import ElementTree as ET

import pytest

from tests.pictures import DOCS, PICTURES
from tests.simulation.judging.flawless import flawless
from vuemantics_ws.simulation.format.bundled import resolve_scenario
from vuemantics_ws.simulation.format.reader import load_scenario
from vuemantics_ws.simulation.judging.report import judge_run
from vuemantics_ws.simulation.planning.plan import make_plan


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_is_drawn_today(name: str) -> None:
    stored = DOCS.joinpath(name).read_text(encoding="utf-8")

    assert PICTURES[name]() == stored, "draw the pictures anew: python -m tests.pictures"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_needs_nothing_from_anywhere(name: str) -> None:
    drawn = PICTURES[name]()

    ET.fromstring(drawn)
    assert "url(http" not in drawn
    assert "<script" not in drawn


def test_the_log_behind_the_picture_breaks_no_law() -> None:
    plan = make_plan(load_scenario(resolve_scenario("quickstart")), 1)

    report = judge_run(plan, flawless(plan, until_s=30.0), interrupted=True)

    assert report.broken() == []
