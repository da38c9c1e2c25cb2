"""With a broker that answers late: no seam between the snapshot and what follows it, whatever happens in between."""

import asyncio

import pytest

from tests.connection_manager.brokers import LateBroker
from tests.connection_manager.loops import LoopClock, run, turns
from tests.connection_manager.messages import completed, progress, said
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.errors import LimitReached
from vuemantics_ws.limits import Limits


class World:
    """A manager with a late broker, and subscribes that wait for it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.broker = LateBroker(clock=LoopClock())
        self.manager = ConnectionManager(broker=self.broker, clock=LoopClock(), limits=limits)
        self.asking: list[asyncio.Task[None]] = []

    async def connect(self, user_id: str = "alice") -> TextSocket:
        socket = TextSocket()
        await self.manager.connect(user_id, socket)
        return socket

    async def ask(self, user_id: str, upload_id: str, connection: TextSocket | None = None) -> asyncio.Task[None]:
        """Begin to subscribe; the head is not there yet."""
        asking = asyncio.create_task(self.manager.subscribe_upload(user_id, upload_id, connection=connection))
        self.asking.append(asking)
        await turns(3)
        return asking

    async def publish(self, percent: int, upload_id: str = "a", owner: str = "alice") -> None:
        await self.manager.publish(progress(upload_id, percent), owner=owner)

    async def end(self) -> None:
        """Nobody waits for an answer any more, and nothing is left of those who ask."""
        self.broker.answer_all()
        await asyncio.gather(*self.asking)
        await self.manager.disconnect_all()
        assert sizes(self.manager) == {}
        assert self.broker.owed == {}


async def opened(limits: Limits | None = None) -> World:
    world = World(limits)
    await world.manager.__aenter__()
    return world


def test_a_subscribe_is_done_when_the_broker_has_answered() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        await world.publish(20)

        asking = await world.ask("alice", "a", socket)
        before = asking.done(), said(socket)
        world.broker.answer("a")
        await asking

        assert before == (False, [])
        assert said(socket) == ["a 20"]
        await world.end()

    run(main())


def test_a_broker_that_knows_nothing_answers_none() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        asking = await world.ask("alice", "a", socket)

        world.broker.answer("a")
        await asking
        before = said(socket)
        await world.publish(20)

        assert (before, said(socket)) == ([], ["a 20"])
        await world.end()

    run(main())


@pytest.mark.parametrize("before_reading", [0, 1, 2])
@pytest.mark.parametrize("after_reading", [0, 1, 2])
def test_what_is_published_while_the_head_is_read_is_neither_missing_nor_there_twice(
    before_reading: int, after_reading: int
) -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        await world.publish(0)
        percents = iter(range(1, 10))

        await world.ask("alice", "a", socket)
        for _ in range(before_reading):
            await world.publish(next(percents))
        world.broker.read("a")
        for _ in range(after_reading):
            await world.publish(next(percents))
        before = said(socket)
        world.broker.answer("a")
        await turns(2)
        await world.publish(50)

        assert before == []
        assert said(socket) == [f"a {before_reading + after_reading}", "a 50"]
        await world.end()

    run(main())


def test_an_end_that_comes_while_the_head_is_read_arrives_once() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        await world.publish(20)

        await world.ask("alice", "a", socket)
        world.broker.read("a")
        await world.manager.publish(completed("a"))
        world.broker.answer("a")
        await turns(2)

        assert said(socket) == ["a done"]
        await world.end()

    run(main())


def test_all_who_ask_meanwhile_share_one_watch_and_one_answer() -> None:
    async def main() -> None:
        world = await opened()
        first_tab, second_tab, other = await world.connect(), await world.connect(), await world.connect("mallory")
        await world.publish(20)

        for user_id, socket in (("alice", first_tab), ("alice", second_tab), ("mallory", other)):
            await world.ask(user_id, "a", socket)
        world.broker.answer("a")
        await asyncio.gather(*world.asking)

        assert world.broker.watched == 1
        assert said(first_tab)[0] == said(second_tab)[0] == "a 20"
        assert other.sent == []
        await world.end()

    run(main())


def test_a_tab_that_joins_while_the_head_is_read_gets_it_once() -> None:
    async def main() -> None:
        world = await opened()
        first_tab = await world.connect()
        await world.publish(20)
        await world.ask("alice", "a", first_tab)

        second_tab = await world.connect()
        world.broker.answer("a")
        await turns(2)

        assert (said(first_tab), said(second_tab)) == (["a 20"], ["a 20"])
        await world.end()

    run(main())


def test_a_tab_that_joins_when_something_is_known_already_gets_it_with_all_the_others() -> None:
    async def main() -> None:
        world = await opened()
        first_tab = await world.connect()
        await world.ask("alice", "a", first_tab)
        await world.publish(20)

        second_tab = await world.connect()
        before = said(second_tab)
        world.broker.answer("a")
        await turns(2)

        assert before == []
        assert (said(first_tab), said(second_tab)) == (["a 20"], ["a 20"])
        await world.end()

    run(main())


def test_what_a_broker_tells_later_than_it_answers_is_known_already() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        await world.ask("alice", "a", socket)
        world.broker.fall_behind()
        await world.publish(20)
        await world.publish(30)
        world.broker.answer("a")
        await turns(2)

        world.broker.catch_up()
        await turns(2)
        await world.publish(40)

        assert said(socket) == ["a 30", "a 40"]
        await world.end()

    run(main())


def test_a_tab_that_withdraws_its_question_takes_no_answer_from_the_others() -> None:
    async def main() -> None:
        world = await opened()
        first_tab, second_tab, foreign = await world.connect(), await world.connect(), await world.connect("mallory")
        await world.ask("mallory", "a", foreign)
        asking = await world.ask("alice", "a", first_tab)

        await world.manager.unsubscribe_upload("alice", "a", connection=first_tab)
        await asking
        third_tab = await world.connect()
        await world.publish(20)
        world.broker.answer("a")
        await turns(2)

        assert [said(socket) for socket in (first_tab, second_tab, third_tab, foreign)] == [[], ["a 20"], ["a 20"], []]
        await world.end()

    run(main())


def test_a_tab_that_closes_takes_no_answer_from_the_others() -> None:
    async def main() -> None:
        world = await opened()
        first_tab, second_tab = await world.connect(), await world.connect()
        await world.publish(20)
        await world.ask("alice", "a", first_tab)

        await world.manager.disconnect("alice", first_tab)
        world.broker.answer("a")
        await turns(2)

        assert (said(first_tab), said(second_tab)) == ([], ["a 20"])
        await world.end()

    run(main())


def test_giving_up_the_only_hold_ends_the_watch_and_answers_whoever_waits() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        await world.publish(20)
        asking = await world.ask("alice", "a", socket)

        await world.manager.unsubscribe_upload("alice", "a", connection=socket)
        await asking
        await world.publish(30)

        assert socket.sent == []
        assert world.broker.owed == {}
        await world.end()

    run(main())


def test_subscribe_unsubscribe_and_subscribe_again_ends_with_one_snapshot() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        await world.publish(20)
        await world.ask("alice", "a", socket)
        world.broker.read("a")
        await world.manager.unsubscribe_upload("alice", "a", connection=socket)
        await world.publish(30)

        await world.ask("alice", "a", socket)
        world.broker.answer("a")
        await asyncio.gather(*world.asking)

        assert said(socket) == ["a 30"]
        assert world.broker.watched == 2
        await world.end()

    run(main())


def test_the_same_while_somebody_else_waits_for_the_same_head() -> None:
    async def main() -> None:
        world = await opened()
        socket, foreign = await world.connect(), await world.connect("mallory")
        await world.ask("mallory", "a", foreign)
        await world.publish(20)
        for _ in range(3):
            await world.ask("alice", "a", socket)
            await world.manager.unsubscribe_upload("alice", "a", connection=socket)
        await world.ask("alice", "a", socket)

        world.broker.answer("a")
        await asyncio.gather(*world.asking)

        assert said(socket) == ["a 20"]
        assert world.broker.watched == 1
        await world.end()

    run(main())


def test_an_upload_whose_end_nobody_has_had_makes_no_room() -> None:
    async def main() -> None:
        world = await opened(Limits(uploads_per_user_max=1))
        socket = await world.connect()
        await world.ask("alice", "a", socket)
        await world.manager.publish(completed("a"), owner="alice")

        with pytest.raises(LimitReached):
            await world.manager.subscribe_upload("alice", "b", connection=socket)
        world.broker.answer("a")
        await turns(2)

        assert said(socket) == ["a done"]
        await world.end()

    run(main())


def test_a_subscribe_that_is_cancelled_while_it_waits_stands() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        await world.publish(20)
        asking = await world.ask("alice", "a", socket)

        asking.cancel()
        await asyncio.wait([asking])
        world.asking.clear()
        world.broker.answer("a")
        await turns(2)

        assert said(socket) == ["a 20"]
        await world.end()

    run(main())


def test_an_owner_who_changes_while_the_head_is_read_decides_who_gets_it() -> None:
    async def main() -> None:
        world = await opened()
        former, heir = await world.connect("alice"), await world.connect("bob")
        await world.publish(20, owner="alice")
        await world.ask("alice", "a", former)
        await world.ask("bob", "a", heir)
        world.broker.read("a")

        await world.publish(30, owner="bob")
        world.broker.answer("a")
        await asyncio.gather(*world.asking)

        assert (said(former), said(heir)) == ([], ["a 30"])
        await world.end()

    run(main())


def test_everybody_is_answered_when_everything_is_forgotten() -> None:
    async def main() -> None:
        world = await opened()
        socket = await world.connect()
        for upload_id in "abc":
            await world.ask("alice", upload_id, socket)
            await world.ask("never connected", upload_id)

        await world.manager.disconnect_all()
        await asyncio.gather(*world.asking)

        assert sizes(world.manager) == {}
        assert world.broker.owed == {}

    run(main())
