"""What came of one seed, small enough to be sent from one process to another."""

from msgspec import Struct

from vuemantics_ws.ambient import Clock
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.judging.findings import Verdict
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.virtual import run


class Found(Struct, frozen=True):
    """A law, a rule or an expectation, with what one seed says of it."""

    name: str
    about: str
    verdict: Verdict
    samples: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one seed.

    ``lasted_s`` is in virtual time, ``took_s`` in real time. Where the run came to nothing ``fault`` says why, and there is no
    hash and nothing found.
    """

    seed: int
    holds: bool
    took_s: float
    lasted_s: float = 0.0
    trace_hash: str = ""
    fault: str | None = None
    found: tuple[Found, ...] = ()


def play_seed(scenario: Scenario, seed: int, options: run.VirtualOptions, clock: Clock) -> Outcome:
    """Play one seed here. Whatever it raises is a failure of this seed, and is raised again by whoever plays it alone."""
    began_at = clock.monotonic()
    try:
        report, trace_hash = run.run_virtual(make_plan(scenario, seed), Log(), options=options)
    except Exception as error:  # noqa: BLE001 - the edge of a run: the others go on
        said = error.message if isinstance(error, run.VirtualFault) else type(error).__name__
        return Outcome(seed=seed, holds=False, took_s=clock.monotonic() - began_at, fault=said)
    return Outcome(
        seed=seed,
        holds=report.holds,
        took_s=clock.monotonic() - began_at,
        lasted_s=report.lasted_s,
        trace_hash=trace_hash,
        found=tuple(Found(each.name, each.about, each.verdict, each.samples) for each in report.findings),
    )
