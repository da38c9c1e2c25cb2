"""A run while it goes on, on stderr: tables that move on a terminal, a line a second elsewhere."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator

from rich.live import Live

from vuemantics_ws.simulation.board import Board
from vuemantics_ws.simulation.judging.aside import Aside
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws_cli.console import printable, say, stderr
from vuemantics_ws_cli.views.simulation import Course, LawsSoFar, live, progress_line, watch_command
from vuemantics_ws_cli.views.size import Size

FRAMES_PER_S = 8
SHARE_OF_TIME = 0.05
"""How much of the time drawing may take: the run is what is watched, not the watching."""

SHARE_OF_ANOTHER_CORE = 0.2
"""How much of it judging the laws again may take, which is done aside."""

TURN_S = 0.0005
"""How long the thread that draws may go on while the loop waits for its turn."""

LINES_EVERY_S = 1.0
LAWS_EVERY_S = 1.0
JUDGING_S_MAX = 1.0
"""The laws are judged meanwhile as long as that takes no longer. Beyond it, it would cost whoever is measured too much."""


async def show(plan: Plan, log: Log, *, others_publish: bool = False) -> None:
    """Show how the run stands, until cancelled. Where ``others_publish``, nobody knows what is to come."""
    board = Board()
    log.listen(board.take)
    title, description = f"{plan.scenario.name}, seed {plan.seed}", printable(plan.scenario.description)
    console = stderr()
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(description)
        await _show_tables(board, log, title, None if others_publish else course_of(plan))
    else:
        say(f"{title}: {description}")
        await _show_lines(board)


def course_of(plan: Plan) -> Course:
    """What of the plan is to come within its duration."""
    duration_s = plan.scenario.duration
    events = sum(event.at_s <= duration_s for upload in plan.uploads for event in upload.events)
    return Course(plan.last_action_s, events)


async def _show_lines(board: Board) -> None:
    told = False
    while True:
        await asyncio.sleep(LINES_EVERY_S)
        if board.control and not told:
            told = True
            say(f"in another terminal: {watch_command(board)}")
        if board.phase != "starting":
            say(progress_line(board))


async def _show_tables(board: Board, log: Log, title: str, course: Course | None) -> None:
    console = stderr()
    loop = asyncio.get_running_loop()
    judging = _Judging(board, log)
    with Live(console=console, auto_refresh=False) as screen, _short_turns():

        def compose(laws: LawsSoFar) -> None:
            size = Size(console.width, console.height, console.options.ascii_only)
            screen.update(live(board, laws, title=title, size=size, course=course))

        judges = asyncio.ensure_future(judging.run())
        try:
            while True:
                if judges.done():
                    judges.result()
                began_at = loop.time()
                compose(judging.found)
                await asyncio.to_thread(screen.refresh)
                await asyncio.sleep(max(1 / FRAMES_PER_S, (loop.time() - began_at) / SHARE_OF_TIME))
        finally:
            judges.cancel()
            await asyncio.wait([judges])
            compose(LawsSoFar())  # the verdict has them
            screen.refresh()


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    """Let the thread that draws hold up the loop's for a fraction of a millisecond at a time, and not for five."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


class _Judging:
    """Judges the laws now and then, as long as that does not take too long."""

    def __init__(self, board: Board, log: Log) -> None:
        self._board = board
        self._log = log
        self.found = LawsSoFar()

    async def run(self) -> None:
        """Until cancelled, or until it would take too long."""
        try:
            await self._run()
        except OSError:
            pass  # no process is to be had, and the verdict judges in any case
        self.found = self.found._replace(is_old=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        judged, took_s = 0, 0.0
        async with Aside() as aside:
            await aside.judge([])  # it takes a while to start, which says nothing of how long judging takes
            while took_s <= JUDGING_S_MAX:
                await asyncio.sleep(max(LAWS_EVERY_S, took_s / SHARE_OF_ANOTHER_CORE))
                began_at, at_s, records = loop.time(), self._board.at_s, self._log.records[judged:]
                judged += len(records)
                laws = await aside.judge(records)
                if laws is None:
                    break
                self.found = LawsSoFar(laws, at_s)
                took_s = loop.time() - began_at
