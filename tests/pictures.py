"""The pictures of the documentation. ``python -m tests.pictures`` draws them anew."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.cli.frames import frame, page, upload_row
from tests.simulation.judging.flawless import flawless
from vuemantics_ws.simulation.board import Board
from vuemantics_ws.simulation.format.bundled import resolve_scenario
from vuemantics_ws.simulation.format.reader import load_scenario
from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.pipeline import at_percent
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws_cli.simulating.screen import course_of
from vuemantics_ws_cli.views.picture import WIDTH, picture
from vuemantics_ws_cli.views.simulation import LawsSoFar, live
from vuemantics_ws_cli.views.size import Size
from vuemantics_ws_cli.views.watching import screen
from vuemantics_ws_cli.watching.browsing import Browsing

DOCS = Path(__file__).parent.parent / "docs"


def simulate() -> str:
    """``simulate quickstart`` in the midst of it."""
    plan = make_plan(load_scenario(resolve_scenario("quickstart")), 1)
    records = flawless(plan, until_s=3.1)
    board = Board()
    for record in records:
        board.take(record)
    laws = LawsSoFar(check_laws(History(records)), board.at_s)
    view = live(board, laws, title=f"{plan.scenario.name}, seed {plan.seed}", size=Size(WIDTH, 40), course=course_of(plan))
    return picture(view, title="vuemantics-ws simulate quickstart")


def watch() -> str:
    """``watch`` of a server with some work, one tab that has stopped reading, and an upload that was published out of order."""
    percents = [92, 74, 61, 55, 50, 38, 31, 23, 20, 12, 4]
    rows = [_running(number, percent) for number, percent in enumerate(percents)]
    rows.append(_row(11, state="failed", stage=None, percent=None, age_s=97.0))
    rows.append(_row(12, state="completed", stage=None, percent=100, age_s=183.0))
    rates = {
        "events_per_s": [30 + 9.0 * (number % 7) - 4 * (number % 3) for number in range(60)],
        "deliveries_per_s": [210 + 60.0 * (number % 7) - 21 * (number % 5) for number in range(60)],
        "connects_per_s": [float(number in (50, 53, 57)) for number in range(60)],
        "refused_per_s": [2.0 * (number == 41) for number in range(60)],
        "loop_lag_s": [0.0004 + 0.0002 * (number % 4) for number in range(60)],
    }
    full = {"connections": 96, "users": 41, "uploads": len(rows), "follows": 118, "watches": len(rows), "heads": len(rows)}
    tables = {**full, "unauthenticated": 0, "outbox_bytes": 14_210, "outbox_bytes_max": 14_210}
    said = [
        "connection 12 of frank has taken nothing for 12 s",
        "2 events of the last minute were refused as old or as after the end",
    ]
    warnings = [{"code": "", "message": message, "count": 1} for message in said]
    shown = frame(page("uploads", rows=rows), tables=tables, rates=rates, warnings=warnings)
    at = datetime.fromtimestamp(shown["at"], UTC)
    return picture(screen(shown, Browsing(), at=at, size=Size(WIDTH, 28)).view, title="vuemantics-ws watch")


def _running(number: int, percent: int) -> dict[str, Any]:
    stale = 2 if percent == 55 else 0
    seen = {"stage": at_percent(percent, video=True).stage, "percent": percent, "seq": percent // 2 + 1}
    pace = {"age_s": 0.1 + 0.3 * (number % 3), "rate_per_s": 2.9 - 0.1 * (number % 4)}
    return _row(number, state="running", stale=stale, refused=stale, **seen, **pace)


def _row(number: int, **more: Any) -> dict[str, Any]:
    upload = f"{number * 0x1F3A5C7 + 0x5C4E2F0A:08x}-9a39-4d0e-8f5f-3f1f3c0a7d11"
    followers = {"followers": 1 + number % 3, "connections": 2 + number % 3, "owner": ("alice", "bob", "frank")[number % 3]}
    given = {"upload": upload, "attempt": 1, "duplicate": 0, "stale": 0, "refused": 0, "rate_per_s": 0, **followers, **more}
    return upload_row(number, **given)


PICTURES: dict[str, Callable[[], str]] = {"simulate.svg": simulate, "watch.svg": watch}
"""By the names of their files."""

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        DOCS.joinpath(name).write_text(draw(), encoding="utf-8")
