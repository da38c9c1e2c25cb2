"""What waits behind a slow answer is late by the time of the server, and not by that of the worker who publishes."""

import asyncio

from tests.client.peer import run
from tests.simulation.playing import plan
from tests.simulation.real.test_worker import Asked, accept, control
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.client.control import Control
from vuemantics_ws.simulation.log import ONE, Log, Published
from vuemantics_ws.simulation.playing.publishing import SLOW_S, Publishers, Publishing
from vuemantics_ws.simulation.system import Place

QUICKLY = """\
    users: {alice: {}}
    uploads: [{id: up, owner: alice, pipeline: {progress: 50/s, for: 100ms}}]
    clients: [{id: tab, user: alice}]
"""


async def published(*, first_takes_s: float) -> list[Published]:
    """By a worker whose first event is answered after so long, and all others at once."""
    asked_for = 0

    async def answer(asked: Asked) -> bytes:
        nonlocal asked_for
        asked_for += 1
        await asyncio.sleep(first_takes_s if asked_for == 1 else 0)
        return await accept(asked)

    log, began_at = Log(), asyncio.get_running_loop().time()

    def now() -> float:
        return asyncio.get_running_loop().time() - began_at

    async with control(answer) as (workers, _):
        nowhere = "http://127.0.0.1:1"
        place = Place(ONE, "ws://127.0.0.1:1/ws/uploads", nowhere, Control(nowhere), workers)
        (upload,) = plan(QUICKLY).uploads
        publishers = Publishers([place], tries_again=False, now=now, until=5.0)
        await Publishing(upload, publishers, log, plain=None, number=0, clock=SystemClock(), now=now, until=5.0).run()
    return [record for record in log if isinstance(record, Published)]


def test_what_waits_behind_a_slow_answer_is_held_up_by_the_server() -> None:
    first, *behind = run(published(first_takes_s=SLOW_S + 0.05))

    assert len(behind) > 2
    assert first.held_up_s == 0
    assert all(each.held_up_s > first.sent_at + SLOW_S - each.scheduled_at for each in behind)


def test_behind_a_quick_answer_a_worker_is_late_itself() -> None:
    first, *behind = run(published(first_takes_s=0.05))

    assert behind[0].sent_at >= first.sent_at + 0.05
    assert {each.held_up_s for each in behind} == {0}
