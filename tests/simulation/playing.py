"""Plays small scenarios for real."""

import asyncio
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws.simulation.log import Closed, Log, Opened, Received, Record
from vuemantics_ws.simulation.planning.plan import Plan, make_plan
from vuemantics_ws.simulation.real.run import run_real

R = TypeVar("R", bound=Record)


def plan(body: str, *, duration: str = "5s", seed: int = 1) -> Plan:
    text = f"version: 1\nname: w\ndescription: A small world.\nduration: {duration}\n" + textwrap.dedent(body)
    return make_plan(parse_scenario(text, file="w.yaml", environment={}), seed)


def played(plan: Plan, *, meanwhile: Callable[[Record], None] | None = None, **options: Any) -> tuple[Report, Log]:
    """Plays all of it. Nothing may be left running in the loop."""
    log = Log()
    if meanwhile is not None:
        log.listen(meanwhile)

    async def main() -> Report:
        report = await asyncio.wait_for(run_real(plan, log, clock=SystemClock(), **options), 30)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return report

    return asyncio.run(main()), log


def not_held(report: Report) -> list[Finding]:
    """What does not hold, but for the simulator's own punctuality: other tests keep this machine busy."""
    return [finding for finding in report.broken() if finding.name != "generator"]


def of(log: Log, kind: type[R]) -> list[R]:
    return [record for record in log if isinstance(record, kind)]


def by_client(log: Log, kind: type[Received] | type[Closed], client: str) -> list[Any]:
    """The records of all connections of one client."""
    numbers = {opened.connection for opened in of(log, Opened) if opened.client == client}
    return [record for record in log if isinstance(record, kind) and record.connection in numbers]
