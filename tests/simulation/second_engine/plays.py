"""What is played on the second engine: by tests that say that all is well, and by those that plant a fault to see it found."""

import asyncio

from tests.simulation.second_engine.stage import PASSES_S, UPLOADS, Stage, at, opened

EVENTS = 12


async def a_crowd() -> None:
    """Everything at once: tabs come while events are published, one loses its connection, one gives an upload up."""
    async with opened() as stage:
        desk, phone, _ = [stage.opens(client, "cat", "dog") for client in ("desk", "phone", "tablet")]
        dice = stage.dice("crowd", "moments")
        laptop = stage.opens("laptop", "cat")
        await asyncio.gather(
            published(stage, "cat"),
            published(stage, "dog"),
            at(dice.uniform(0.0, 0.3), lambda: _nothing(desk.lose_connection())),
            at(dice.uniform(0.1, 0.3), lambda: _nothing(phone.unsubscribe(UPLOADS["cat"]))),
            at(dice.uniform(0.0, 0.3), lambda: laptop.leave("abort")),
        )
        await stage.ends()

        must_hold(stage)


async def a_publisher_races_with_a_join() -> None:
    """An upload ends just when its first subscriber comes, give or take some steps of the loop."""
    async with opened() as stage:
        await stage.publishes("cat", percent=5)
        dice = stage.dice("worker", "pauses")
        stage.opens("desk", "cat")
        await stage.asked()
        for ends in (False, True):
            await asyncio.sleep(dice.choice([0.0, dice.uniform(0.0, 0.01), dice.uniform(0.0, 0.04)]))
            for _ in range(dice.randrange(12)):
                await asyncio.sleep(0)
            await stage.publishes("cat", percent=50, ends=ends)
        await stage.ends()

        must_hold(stage)


async def somebody_reads_slowly() -> None:
    """More is published than one of the tabs reads, whose buffers are soon full."""
    async with opened(slow={"phone": 10.0}, write_buffer_bytes_max=1024) as stage:
        stage.opens("desk", "cat")
        phone = stage.opens("phone", "cat")
        await asyncio.sleep(0.3)
        phone.read_at(1000.0)
        dice = stage.dice("worker", "pauses")
        for percent in range(EVENTS):
            await asyncio.sleep(dice.choice([0.0, 0.01, 0.1]))
            await stage.publishes("cat", percent=percent, text="x" * 400)
        await stage.publishes("cat", ends=True)
        stage.measure()
        await asyncio.sleep(10.0 - asyncio.get_running_loop().time())
        phone.read_at(None)
        await stage.ends()

        must_hold(stage)
        assert stage.states_of("phone", "cat")[-1] == (EVENTS + 1, True)
        assert len(stage.states_of("phone", "cat")) < EVENTS


async def one_tab_gives_it_up() -> None:
    """Both tabs of a user have an upload, and one unsubscribes while events come."""
    async with opened() as stage:
        stage.opens("desk", "cat")
        phone = stage.opens("phone", "cat")
        moment_s = 0.25 + 0.2 * stage.dice("phone", "gives up").random()  # by then its subscribe has been answered
        await asyncio.gather(published(stage, "cat"), at(moment_s, lambda: _nothing(phone.unsubscribe(UPLOADS["cat"]))))
        await stage.ends()

        must_hold(stage)
        assert stage.states_of("desk", "cat")[-1] == (EVENTS + 1, True)
        assert stage.answers_to("phone").count("unsubscribed") == 1
        assert stage.answers_to("phone")[-1] == "unsubscribed"


async def somebody_comes_back(after_s: float = 2.0, *, finds: bool = True) -> None:
    """A user's only tab goes, and another comes ``after_s`` later; the grace time is 3 s."""
    async with opened(grace_s=3.0) as stage:
        desk = stage.opens("desk", "cat")
        await stage.publishes("cat", percent=10)
        await asyncio.sleep(0.3)
        desk.leave(stage.dice("desk", "how").choice(["close", "abort"]))
        await desk.gone
        await asyncio.gather(asyncio.sleep(after_s), stage.publishes("cat", percent=20))
        stage.opens("phone")
        await asyncio.sleep(0.3)
        await stage.publishes("cat", ends=True)
        await stage.ends()

        if finds:
            must_hold(stage)
        assert stage.left() == {}
        assert stage.states_of("desk", "cat") == [(1, False)]
        assert stage.states_of("phone", "cat") == ([(2, False), (3, True)] if finds else [])


async def the_node_stops() -> None:
    """A node is told to stop while its clients still have something to get."""
    async with opened() as stage:
        for client in ("desk", "phone"):
            stage.opens(client, "cat")
        await asyncio.sleep(0.3)
        await published(stage, "cat", events=2, every_s=0.0)
        await stage.stops()
        await asyncio.sleep(PASSES_S)

        assert [stage.codes_of(client) for client in ("desk", "phone")] == [[1012], [1012]]
        for client in ("desk", "phone"):
            assert stage.states_of(client, "cat")[-1] == (3, True)
        assert stage.left() == {}


async def published(stage: Stage, name: str, *, events: int = EVENTS, every_s: float = 0.03) -> None:
    """All events of an upload and its end, the pauses about so long."""
    dice = stage.dice(name, "pauses")
    for percent in range(events):
        await asyncio.sleep(dice.choice([0.0, 0.5, 1.0, 2.0]) * every_s)
        await stage.publishes(name, percent=percent)
    await stage.publishes(name, ends=True)


def must_hold(stage: Stage) -> None:
    """Every law, and whatever else must hold in every run."""
    broken = [finding for finding in stage.judged() if not finding.is_good]
    told = [f"{finding.name}: {finding.violation.message if finding.violation else finding.verdict}" for finding in broken]
    assert not told, told


def _nothing(done: bool) -> None:
    """What is done is done, whether or not it could be."""
