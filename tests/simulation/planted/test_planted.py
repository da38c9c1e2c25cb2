"""Each known bug, planted in the production code, is found again, and the page says how it was found."""

import pytest
from msgspec.structs import replace

from tests.simulation.planted.bugs import BUGS
from tests.simulation.planted.finding import look_for, planted, play
from tests.simulation.planted.planting import Bug, Soil
from tests.simulation.planted.table import PAGE, as_table, read_record
from vuemantics_ws.core.delivery import Delivery
from vuemantics_ws.simulation.format.bundled import bundled_text
from vuemantics_ws.simulation.format.reader import examine
from vuemantics_ws.simulation.shrinking.ways import in_the_same_way

RECORD = read_record()
BY_NAME = {bug.name: bug for bug in BUGS}
SOUND = {(bug.scenario, bug.broker, RECORD[bug.name].seed): bug for bug in BUGS if bug.name in RECORD}
"""A bug for each run that some bug breaks."""


SOON = range(1, 21)
"""A change of anything that takes time moves a race to another seed, but not far."""


@pytest.mark.parametrize("name", BY_NAME)
def test_a_bug_is_found_at_the_seed_that_is_recorded_or_soon(name: str) -> None:
    bug, found = BY_NAME[name], RECORD[name]
    data = examine(bundled_text(bug.scenario), {}).data

    with planted(bug):
        reports = (play(bug, data, seed) for seed in (found.seed, *SOON))

        assert any(in_the_same_way(report, found.way) for report in reports)


@pytest.mark.parametrize("bug", SOUND.values(), ids=[f"{name}-{seed}-{broker}" for name, broker, seed in SOUND])
def test_the_same_run_holds_where_nothing_is_planted(bug: Bug) -> None:
    data = examine(bundled_text(bug.scenario), {}).data

    report = play(bug, data, RECORD[bug.name].seed)

    assert [(finding.name, finding.violation) for finding in report.broken()] == []


@pytest.mark.planted
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", BY_NAME)
def test_a_sweep_finds_a_bug_and_shrinks_it_as_it_is_recorded(name: str) -> None:
    what = look_for(BY_NAME[name])

    assert what is not None
    assert replace(what[0], plays=RECORD[name].plays) == RECORD[name], "write the table anew"


def test_the_page_has_the_table_that_is_recorded() -> None:
    assert as_table(RECORD) in PAGE.read_text(encoding="utf-8")
    assert [*RECORD] == [*BY_NAME]


def test_a_bug_is_not_planted_where_the_code_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    soil = Soil(monkeypatch)

    def deliver(self: Delivery, upload_id: str) -> None:
        raise NotImplementedError

    with pytest.raises(AssertionError, match=r"there is no Delivery\.send any more"):
        soil.replace(Delivery, "send", deliver)
    with pytest.raises(AssertionError, match=r"Delivery\.deliver takes \['self', 'upload_id', 'head'\] by now"):
        soil.replace(Delivery, "deliver", deliver)
