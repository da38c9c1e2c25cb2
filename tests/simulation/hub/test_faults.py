"""Everything that befalls a Redis befalls the hub, and whoever is around it behaves as around a Redis."""

import asyncio

import pytest

from tests.events import completed, failed, progress
from tests.simulation.hub.around import Around, Node, play, settled, soon
from vuemantics_ws.errors import BrokerAway

AWAY = ["down", "hang", "part"]


def go_away(around: Around, how: str) -> None:
    match how:
        case "down":
            around.hub.down()
        case "hang":
            around.hub.hang()
        case _:
            around.hub.barrier("node:0").cut_off()


def come_back(around: Around, how: str) -> None:
    match how:
        case "down":
            around.hub.up()
        case "hang":
            around.hub.resume()
        case _:
            around.hub.barrier("node:0").heal()


class TestAway:
    @pytest.mark.parametrize("how", AWAY)
    def test_publish_and_head_say_so_within_two_seconds(self, how: str) -> None:
        async def act(around: Around, one: Node) -> None:
            go_away(around, how)
            for asked in (one.publish(progress(upload_id="u")), one.head("u")):
                began_at = around.loop.time()
                with pytest.raises(BrokerAway):
                    await asked
                assert around.loop.time() - began_at <= (0.02 if how == "down" else 2.0)
            come_back(around, how)

        play(act, count=1)

    @pytest.mark.parametrize("how", AWAY)
    def test_a_watch_finds_nothing_within_seconds_and_is_told_later(self, how: str) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            await other.publish(progress(upload_id="u"))
            go_away(around, how)
            one.watch("u")
            await asyncio.sleep(2)
            assert one.found["u"] == [None]

            come_back(around, how)
            await settled()
            assert one.seen("u") == [(1, 1)]

        play(act)

    @pytest.mark.parametrize("how", AWAY)
    def test_health_says_since_when_and_why_and_the_gap_is_counted(self, how: str) -> None:
        async def act(around: Around, one: Node) -> None:
            began_at = around.loop.time()
            go_away(around, how)
            await asyncio.sleep(5)
            health = one.broker.health
            assert not health.ready
            assert health.reason is not None
            assert "simulated broker" in health.reason
            assert began_at <= health.since <= began_at + (0.02 if how == "down" else 4.0)
            assert (health.adopts, health.gaps) == (False, 1)

            come_back(around, how)
            await settled()
            assert one.broker.health[0] is True
            assert one.broker.health.reason is None
            assert one.broker.health.gaps == 1

        play(act, count=1)

    @pytest.mark.parametrize("how", AWAY)
    def test_what_moved_meanwhile_is_told_on_return(self, how: str) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            for upload_id in ("u", "v"):
                one.watch(upload_id)
                await other.publish(progress(upload_id=upload_id))
            await soon()
            go_away(around, how)
            await asyncio.sleep(20)
            if how == "part":
                await other.publish(completed(upload_id="u"))
            come_back(around, how)
            if how != "part":
                await other.publish(completed(upload_id="u"))
            await settled()

            assert one.seen("u") == [(1, 1), (1, 2)]
            assert one.seen("v") == [(1, 1)]

        play(act)

    def test_who_never_noticed_is_told_all_the_same(self) -> None:
        async def act(around: Around, one: Node) -> None:
            one.watch("u")
            await soon()
            around.hub.hang()
            publishing = asyncio.ensure_future(one.publish(progress(upload_id="u")))
            await asyncio.sleep(1)
            around.hub.resume()
            assert (await publishing).version == (1, 1)
            await soon()
            assert one.seen("u") == [(1, 1)]
            assert one.broker.health.gaps == 0

        play(act, count=1)

    def test_what_was_asked_of_one_that_hangs_is_done_though_nobody_waits_any_more(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            other.watch("u")
            around.hub.hang()
            assert not await one.publishes(progress(upload_id="u"))
            around.hub.resume()
            await settled()

            assert other.newest["u"].version == (1, 1)
            assert (await one.publish(progress(upload_id="u"))).verdict == "duplicate"

        play(act)

    def test_what_was_asked_of_one_that_died_was_done_or_not(self) -> None:
        async def act(around: Around, one: Node) -> bool:
            publishing = asyncio.ensure_future(one.publish(progress(upload_id="u")))
            await asyncio.sleep(0.0011)
            around.hub.down()
            with pytest.raises(BrokerAway):
                await publishing
            around.hub.up()
            await settled()
            return await one.head("u") is not None

        assert {play(act, count=1, seed=seed) for seed in range(10)} == {True, False}

    def test_a_node_that_starts_while_it_is_away_begins_when_it_is_back(self) -> None:
        async def act(around: Around, one: Node) -> None:
            await one.publish(progress(upload_id="u"))
            around.hub.down()
            other = await around.start("node:1")
            other.watch("u")
            assert other.found["u"] == []
            await settled()
            assert other.found["u"] == [None]
            assert other.broker.health.gaps == 0

            around.hub.up()
            await settled()
            assert other.seen("u") == [(1, 1)]

        play(act, count=1)

    def test_whatever_is_asked_often_while_it_is_down_nothing_is_left_waiting(self) -> None:
        async def act(around: Around, one: Node) -> None:
            one.watch("u")
            for _ in range(5):
                around.hub.down()
                around.hub.down()
                await asyncio.sleep(0.0003)
                around.hub.up()
                around.hub.kill_subscribers()
                around.hub.hang()
                await asyncio.sleep(0.0007)
                around.hub.resume()
            await settled()
            await one.publish(progress(upload_id="u"))
            await soon()

            assert one.seen("u") == [(1, 1)]
            assert one.broker.health.ready

        play(act, count=1)


class TestLosses:
    @pytest.mark.parametrize("how", ["flush", "restart"])
    def test_what_nodes_know_is_given_back_within_seconds(self, how: str) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            one.watch("u")
            await other.publish(progress(upload_id="u", number=1), "alice")
            await other.publish(progress(upload_id="u", number=2))
            await other.publish(progress(upload_id="lost"))
            await soon()
            if how == "flush":
                assert around.hub.flush() == 2
            else:
                around.hub.down()
                assert around.hub.up(lose_data=True) == 2
            assert around.hub.middle.store.heads == {}
            await asyncio.sleep(2.1)

            [(upload_id, head)] = around.hub.middle.store.heads.items()
            assert (upload_id, head.version, head.owner) == ("u", (1, 2), "alice")
            assert one.seen("u") == [(1, 1), (1, 2)]
            assert (await other.publish(progress(upload_id="u", number=3))).version == (1, 3)

        play(act)

    def test_an_event_after_the_loss_goes_on_from_what_a_node_knows(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            one.watch("u")
            other.watch("u")
            for number in range(3):
                await one.publish(progress(upload_id="u", number=number))
            await soon()
            around.hub.flush()
            assert (await one.publish(completed(upload_id="u"))).version == (1, 1)
            await soon()

            assert one.seen("u")[-1] == other.seen("u")[-1] == await one.head("u") == (1, 4)
            assert one.newest["u"].terminal

        play(act)

    def test_a_loss_is_no_gap_and_a_restart_is_one(self) -> None:
        async def act(around: Around, one: Node) -> None:
            around.hub.flush()
            await settled()
            assert one.broker.health.gaps == 0
            around.hub.down()
            around.hub.up()
            await settled()
            assert one.broker.health.gaps == 1

        play(act, count=1)

    def test_a_replica_that_was_behind_takes_over(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            one.watch("u")
            for upload_id in ("u", "v"):
                await one.publish(progress(upload_id=upload_id, version=(1, 1)))
            await asyncio.sleep(3)
            for upload_id in ("u", "v"):
                await one.publish(progress(upload_id=upload_id, version=(1, 2)))
            await soon()
            around.hub.down()
            await asyncio.sleep(5)
            undone = around.hub.fail_over(1.0)

            assert undone == 2
            assert {id_: head.version for id_, head in around.hub.middle.store.heads.items()} == {"u": (1, 1), "v": (1, 1)}
            await settled()
            assert (await other.head("u"), await other.head("v")) == ((1, 2), (1, 1)), "what a node knows is given back"
            assert one.seen("u") == [(1, 1), (1, 2)]

        play(act, fails_over=True)

    def test_digests_fail_over_too(self) -> None:
        async def act(around: Around, one: Node) -> None:
            await one.publish(progress(upload_id="u", number=1))
            await asyncio.sleep(3)
            await one.publish(progress(upload_id="u", number=2))
            around.hub.fail_over(1.0)
            await settled()

            verdicts = [(await one.publish(progress(upload_id="u", number=number))).verdict for number in (1, 2)]
            assert verdicts == ["duplicate", "accepted"]

        play(act, count=1, fails_over=True)


class TestGaps:
    def test_what_was_under_way_to_subscribers_that_are_killed_is_told_after_it(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            for node in (one, other):
                node.watch("u")
            await settled()
            await one.publish(progress(upload_id="u", number=1))
            await soon()
            publishing = asyncio.ensure_future(one.publish(failed(upload_id="u")))
            while around.hub.middle.store.heads["u"].version == (1, 1):  # noqa: ASYNC110 - until it is under way
                await asyncio.sleep(0.0001)
            assert around.hub.kill_subscribers() == 2
            assert (await publishing).version == (1, 2)
            await asyncio.sleep(0.001)
            await settled()

            for node in (one, other):
                assert node.seen("u") == [(1, 1), (1, 2)]
                assert node.broker.health.gaps == 1

        play(act)

    def test_what_is_lost_is_noticed_by_a_canary_and_told(self) -> None:
        async def act(around: Around, one: Node) -> None:
            one.watch("u")
            await settled()
            around.hub.lose(1.0)
            await one.publish(progress(upload_id="u"))
            around.hub.lose(0.0)
            await soon()
            assert one.told == []
            await asyncio.sleep(2.1)

            assert one.seen("u") == [(1, 1)]
            assert one.broker.health.gaps == 1
            assert one.broker.health.ready

        play(act, count=1)

    def test_each_fault_says_what_was_seen_of_it_and_nothing_where_nothing_was(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            hub = around.hub
            assert hub.flush() == 0
            assert hub.kill_subscribers() == 2
            assert hub.kill_subscribers() == 0, "nobody is back yet"
            await settled()
            assert hub.hang() == 2
            assert hub.hang() == 0
            hub.resume()
            assert hub.down() == 2
            assert hub.down() == 0
            assert hub.up() == 0
            await settled()
            assert hub.connected == 2

        play(act)

    def test_a_barrier_counts_what_waits_and_what_passes(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            barrier = around.hub.barrier("node:0")
            passed_bytes = barrier.passed_bytes
            assert passed_bytes > 0
            assert barrier.connections > 0
            barrier.cut_off()
            waiting = asyncio.ensure_future(one.publishes(progress(upload_id="u")))
            await asyncio.sleep(1)
            assert barrier.held_bytes >= len(progress(upload_id="u"))
            assert barrier.passed_bytes == passed_bytes
            assert around.hub.connected == 2, "nobody has noticed"

            around.hub.barrier("node:0").heal()
            await soon()
            assert await waiting
            assert barrier.held_bytes == 0
            assert barrier.passed_bytes > passed_bytes

        play(act)

    def test_a_node_that_is_parted_stays_so_when_it_starts_anew(self) -> None:
        async def act(around: Around, one: Node, other: Node) -> None:
            await other.publish(progress(upload_id="u"))
            around.hub.barrier("node:0").cut_off()
            around.kill(one)
            again = await around.start("node:0")
            again.watch("u")
            await settled()
            assert again.found["u"] == [None]
            around.hub.barrier("node:0").heal()
            await settled()
            assert again.seen("u") == [(1, 1)]

        play(act)
