"""The laws so far, judged in a process of its own, are those that are judged here."""

import asyncio

from tests.simulation.judging.flawless import flawless
from vuemantics_ws.simulation.format.bundled import resolve_scenario
from vuemantics_ws.simulation.format.reader import load_scenario
from vuemantics_ws.simulation.judging.aside import Aside, LawSoFar
from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Record
from vuemantics_ws.simulation.planning.plan import make_plan


def log_of_quickstart() -> list[Record]:
    return flawless(make_plan(load_scenario(resolve_scenario("quickstart")), 1), until_s=5.0)


def judged_here(records: list[Record]) -> list[LawSoFar]:
    return [LawSoFar(law.name, law.verdict) for law in check_laws(History(records))]


def test_a_log_that_grows_is_judged_as_far_as_it_has_come() -> None:
    records = log_of_quickstart()
    half = len(records) // 2

    async def judged() -> list[list[LawSoFar] | None]:
        async with Aside() as aside:
            return [await aside.judge(part) for part in ([], records[:half], records[half:], [])]

    nothing, first, whole, again = asyncio.run(judged())

    assert nothing == []
    assert first == judged_here(records[:half])
    assert whole == again == judged_here(records)


def test_a_process_that_has_gone_is_no_answer() -> None:
    records = log_of_quickstart()

    async def judged() -> list[LawSoFar] | None:
        async with Aside() as aside:
            assert aside._process is not None
            aside._process.kill()
            await aside._process.wait()
            return await aside.judge(records)

    assert asyncio.run(judged()) is None
