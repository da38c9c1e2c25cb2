"""The pictures of the documentation. ``python -m tests.pictures`` draws them anew."""

from collections.abc import Callable
from pathlib import Path

from tests.simulation.judging.flawless import flawless
from vuemantics_ws.simulation.board import Board
from vuemantics_ws.simulation.format.bundled import resolve_scenario
from vuemantics_ws.simulation.format.reader import load_scenario
from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws_cli.simulating.screen import course_of
from vuemantics_ws_cli.views.picture import WIDTH, picture
from vuemantics_ws_cli.views.simulation import LawsSoFar, live
from vuemantics_ws_cli.views.size import Size

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


PICTURES: dict[str, Callable[[], str]] = {"simulate.svg": simulate}
"""By the names of their files."""

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        DOCS.joinpath(name).write_text(draw(), encoding="utf-8")
