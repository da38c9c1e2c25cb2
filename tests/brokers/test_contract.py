"""What every broker promises (`brokers/base.py`), asked of each."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import uvloop

from tests.brokers.benches import Bench, memory_bench, redis_bench, simulated_bench
from tests.core import judge_vectors
from tests.events import completed, failed, progress
from vuemantics_ws.core.upload import Head, Verdict
from vuemantics_ws.limits import Limits

SHORT_HISTORIES = [name for name in judge_vectors.at_one_instant() if len([*judge_vectors.steps_of(name)]) < 100]
"""The others are for the judges alone."""

Act = Callable[[Bench], Awaitable[None]]
Run = Callable[[Act], None]


BROKERS = ["memory", "simulated", "simulated, at once", "redis", "redis on uvloop"]


@pytest.fixture(params=[*BROKERS, pytest.param("redis-cluster", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine with a broker that is opened before it and stopped after it."""

    def bench() -> AbstractAsyncContextManager[Bench]:
        if request.param == "memory":
            return memory_bench()
        if request.param.startswith("simulated"):
            return simulated_bench(at_once=1.0 if "at once" in request.param else 0.0)
        server = request.getfixturevalue("redis_cluster" if request.param == "redis-cluster" else "redis_server")
        return redis_bench(server.url)

    async def opened(act: Act) -> None:
        async with bench() as opened:
            await asyncio.wait_for(act(opened), 30)

    def run(act: Act) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if "uvloop" in request.param else None) as runner:
            runner.run(opened(act))

    return run


class TestJudging:
    @pytest.mark.parametrize("name", SHORT_HISTORIES)
    def test_a_history_is_judged_as_the_vectors_say(self, run: Run, name: str) -> None:
        upload_id = judge_vectors.upload_id()

        async def act(bench: Bench) -> None:
            await bench.watch(upload_id)
            accepted: list[tuple[int, int]] = []
            for step in judge_vectors.steps_of(name):
                receipt = await bench.publish(step.published, step.owner)

                assert receipt.verdict == step.verdict
                assert receipt.version is not None
                assert step.head in (None, receipt.version)
                if receipt.verdict is Verdict.ACCEPTED:
                    accepted.append(receipt.version)
                    await bench.settle()
                if step.leaves is not None or step.owned_by is not None:
                    head = await bench.broker.head(upload_id)
                    assert head is not None
                    assert step.owned_by in (None, head.owner)
                    assert step.leaves in (None, head.frame.payload)
            assert bench.versions(upload_id) == accepted

        run(act)

    def test_a_receipt_tells_verdict_and_version(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            first = await bench.publish(progress(upload_id="u", version=(1, 5)))
            again = await bench.publish(progress(upload_id="u", version=(1, 5)))
            older = await bench.publish(progress(upload_id="u", version=(1, 4)))
            ended = await bench.publish(completed(upload_id="u"))
            after = await bench.publish(failed(upload_id="u", version=(1, 9)))

            assert [receipt[:2] for receipt in (first, again, older, ended, after)] == [
                ("accepted", (1, 5)),
                ("duplicate", (1, 5)),
                ("stale", (1, 5)),
                ("accepted", (1, 6)),
                ("after_terminal", (1, 6)),
            ]

        run(act)

    def test_an_owner_is_inherited_and_replaced(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            owners: list[str | None] = []
            for number, owner in enumerate([None, "alice", None, "bob", None]):
                await bench.publish(progress(number=number, upload_id="u"), owner)
                head = await bench.broker.head("u")
                assert head is not None
                owners.append(head.owner)

            assert owners == [None, "alice", "alice", "bob", "bob"]

        run(act)

    def test_uploads_do_not_mix(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            await bench.watch("v")
            for upload_id in ("u", "v", "u"):
                await bench.publish(progress(upload_id=upload_id, number=len(bench.told)))
                await bench.settle()

            assert (bench.versions("u"), bench.versions("v")) == ([(1, 1), (1, 2)], [(1, 1)])

        run(act)

    def test_events_that_are_published_at_once_all_get_a_version_of_their_own(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            receipts = await asyncio.gather(*(bench.publish(progress(upload_id="u", number=number)) for number in range(30)))
            await bench.settle()

            assert sorted(receipt.version or (0, 0) for receipt in receipts) == [(1, seq) for seq in range(1, 31)]
            assert bench.versions("u")[-1] == (1, 30)
            assert bench.versions("u") == sorted(set(bench.versions("u")))

        run(act)


class TestTelling:
    def test_nobody_is_told_of_what_nobody_watches(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            receipt = await bench.publish(progress(upload_id="u"))
            await bench.settle()

            assert bench.told == []
            assert receipt.receivers in (0, None)

        run(act)

    def test_whoever_watches_is_told_of_every_event_in_order(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            receipts = []
            for published in (*(progress(upload_id="u", number=number) for number in range(3)), completed(upload_id="u")):
                receipts.append(await bench.publish(published))
                await bench.settle()

            assert bench.versions("u") == [(1, 1), (1, 2), (1, 3), (1, 4)]
            assert [head.terminal for _, head in bench.told] == [False, False, False, True]
            assert all(receipt.receivers in (1, None) for receipt in receipts)

        run(act)

    def test_versions_only_grow_whatever_order_a_publisher_gives_them(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            for attempt in (1, 3, 2):
                for seq in (2, 1, 5, 4, 5, 7):
                    await bench.publish(progress(number=attempt * 10 + seq, upload_id="u", version=(attempt, seq)))
                    await bench.settle()

            assert bench.versions("u") == [(1, 2), (1, 5), (1, 7), (3, 2), (3, 5), (3, 7)]

        run(act)

    def test_what_is_refused_is_told_to_nobody(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            await bench.publish(completed(upload_id="u"))
            for published in (completed(upload_id="u"), progress(upload_id="u"), failed(upload_id="u", version=(1, 1))):
                receipt = await bench.publish(published)
                assert receipt.receivers in (0, None)
            await bench.settle()

            assert bench.versions("u") == [(1, 1)]

        run(act)

    def test_what_is_told_is_what_leaves_for_the_browser(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            await bench.publish(progress(upload_id="u"), "alice")
            await bench.settle()
            await bench.publish(completed(upload_id="u", version=(1, 9)))
            await bench.settle()

            [(_, begun), (_, ended)] = bench.told
            assert begun.frame.payload == progress(upload_id="u").replace(b"{", b'{"attempt":1,"seq":1,', 1)
            assert ended.frame.payload == completed(upload_id="u", version=(1, 9))
            assert (begun.owner, ended.owner) == ("alice", "alice")
            assert b"alice" not in begun.frame.data

        run(act)

    def test_the_largest_event_arrives_whole(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            room = Limits().event_bytes_max - len(progress(upload_id="u", text=""))
            published = progress(upload_id="u", text="ä" * (room // 2))
            await bench.watch("u")
            await bench.publish(published)
            await bench.settle()

            [(_, head)] = bench.told
            assert head.frame.payload == published.replace(b"{", b'{"attempt":1,"seq":1,', 1)

        run(act)

    def test_whatever_is_skipped_the_newest_is_told_last(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            uploads = [f"u{number}" for number in range(10)]
            for upload_id in uploads:
                await bench.watch(upload_id)
            said = [progress(upload_id=upload_id, number=number) for number in range(30) for upload_id in uploads]
            await asyncio.gather(*map(bench.publish, said))
            await asyncio.gather(*(bench.publish(completed(upload_id=upload_id)) for upload_id in uploads))
            await bench.settle()

            for upload_id in uploads:
                told = [head for told_of, head in bench.told if told_of == upload_id]
                assert told[-1].terminal
                assert told[-1].version == (1, 31)
                assert bench.versions(upload_id) == sorted(set(bench.versions(upload_id)))

        run(act)

    def test_whoever_is_told_may_watch_and_unwatch(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.publish(progress(upload_id="v"))
            found: list[Head | None] = []
            told: list[str] = []

            def deliver(upload_id: str, head: Head) -> None:
                told.append(upload_id)
                bench.broker.unwatch(upload_id)
                bench.broker.watch("v", found.append)

            bench.told_besides = deliver
            await bench.watch("u")
            await bench.publish(progress(upload_id="u", number=1))
            await bench.settle()
            await bench.publish(progress(upload_id="u", number=2))
            await bench.settle()

            assert told == ["u"]
            assert [head and head.version for head in found] == [(1, 1)]

        run(act)


class TestWatching:
    def test_a_watch_finds_nothing_where_nothing_was_published(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            assert await bench.watch("u") == [None]

        run(act)

    def test_a_watch_finds_the_newest_state_and_is_not_told_of_it_again(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.publish(progress(upload_id="u"), "alice")
            await bench.publish(completed(upload_id="u"))

            [head] = await bench.watch("u")

            assert head is not None
            assert (head.version, head.terminal, head.owner) == ((1, 2), True, "alice")
            assert bench.told == []

        run(act)

    def test_there_is_no_seam_between_what_a_watch_finds_and_what_follows(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            async def publish() -> None:
                for number in range(20):
                    await bench.publish(progress(upload_id="u", number=number))

            publishing = asyncio.create_task(publish())
            await asyncio.sleep(0)
            [head] = await bench.watch("u")
            await publishing
            await bench.settle()

            seen = [*([head.version] if head is not None else []), *bench.versions("u")]
            assert max(seen) == (1, 20)
            assert bench.versions("u") == sorted(set(bench.versions("u")))
            assert seen[0] == (1, 1) or head is not None

        run(act)

    def test_nothing_is_told_after_the_watch_has_ended(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            await bench.publish(progress(upload_id="u", number=1))
            await bench.settle()
            bench.broker.unwatch("u")
            await bench.publish(progress(upload_id="u", number=2))
            await bench.settle()
            receipt = await bench.publish(progress(upload_id="u", number=3))
            await bench.settle()

            assert bench.versions("u") == [(1, 1)]
            assert receipt.receivers in (0, None)

        run(act)

    def test_a_watch_that_ended_before_it_was_answered_is_answered_no_more(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            found: list[object] = []
            bench.broker.watch("u", found.append)
            at_once = len(found)
            bench.broker.unwatch("u")
            await bench.settle()

            assert len(found) == at_once

        run(act)

    def test_a_later_watch_finds_what_was_published_between(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            await bench.publish(progress(upload_id="u", number=1))
            await bench.settle()
            bench.broker.unwatch("u")
            await bench.publish(progress(upload_id="u", number=2))
            [head] = await bench.watch("u")
            await bench.publish(progress(upload_id="u", number=3))
            await bench.settle()

            assert head is not None
            assert head.version == (1, 2)
            assert bench.versions("u") == [(1, 1), (1, 3)]

        run(act)

    def test_a_watch_of_nothing_can_end(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            bench.broker.unwatch("u")

            assert await bench.broker.head("u") is None
            assert await bench.watch("u") == [None]

        run(act)

    def test_who_watches_again_at_once_is_answered_and_told_once(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.publish(progress(upload_id="u", number=0))
            await bench.watch("u")
            bench.broker.unwatch("u")
            forgone: list[Head | None] = []
            bench.broker.watch("u", forgone.append)
            at_once = len(forgone)
            bench.broker.unwatch("u")
            [head] = await bench.watch("u")
            await bench.publish(progress(upload_id="u", number=1))
            await bench.settle()

            assert head is not None
            assert head.version == (1, 1)
            assert len(forgone) == at_once
            assert bench.versions("u") == [(1, 2)]
            assert bench.broker.watches == 1

        run(act)

    def test_many_that_are_watched_in_one_turn_are_all_answered_once(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            uploads = [f"u{number}" for number in range(300)]
            await asyncio.gather(*(bench.publish(progress(upload_id=upload_id)) for upload_id in uploads[::2]))
            found: dict[str, list[Head | None]] = {upload_id: [] for upload_id in uploads}
            for upload_id in uploads:
                bench.broker.watch(upload_id, found[upload_id].append)
            await bench.settle()

            assert [[head and head.version for head in heads] for heads in found.values()] == [[(1, 1)], [None]] * 150
            assert bench.broker.watches == 300
            assert bench.told == []

        run(act)

    def test_what_is_published_while_a_watch_is_being_answered_is_part_of_it_or_follows(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            found: dict[str, list[Head | None]] = {f"u{number}": [] for number in range(50)}
            publishing = [asyncio.create_task(bench.publish(completed(upload_id=upload_id))) for upload_id in found]
            for upload_id, heads in found.items():
                bench.broker.watch(upload_id, heads.append)
                await asyncio.sleep(0)
            await asyncio.gather(*publishing)
            await bench.settle()

            for upload_id, [head] in found.items():
                assert [*([head.version] if head is not None else []), *bench.versions(upload_id)] == [(1, 1)]

        run(act)

    def test_when_all_watches_have_ended_nothing_is_left_of_them(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            for upload_id in ("u", "v", "w"):
                await bench.watch(upload_id)
            watched = bench.broker.watches
            for upload_id in ("u", "v", "w"):
                bench.broker.unwatch(upload_id)

            assert (watched, bench.broker.watches) == (3, 0)

        run(act)


class TestHealth:
    def test_a_broker_that_works_is_ready_and_says_no_more(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.settle()

            health = bench.broker.health
            assert (health.ready, health.reason, health.gaps) == (True, None, 0)

        run(act)

    def test_a_broker_that_was_stopped_finds_nothing(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.broker.stop()

            assert await bench.watch("u") == [None]

        run(act)


class TestHead:
    def test_a_head_can_be_read_without_watching(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            before = await bench.broker.head("u")
            await bench.publish(progress(upload_id="u"), "alice")
            head = await bench.broker.head("u")
            await bench.watch("u")
            watched = await bench.broker.head("u")

            assert before is None
            assert head is not None
            assert watched is not None
            assert bench.broker.heads in (1, None)
            assert (head.version, head.owner) == (watched.version, watched.owner) == ((1, 1), "alice")
            assert head.frame.payload == watched.frame.payload
            assert bench.told == []

        run(act)


class TestUnwatched:
    def test_what_nobody_watches_can_be_looked_through_where_it_is_kept(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            for upload_id in ("u", "v", "w"):
                await bench.publish(progress(upload_id=upload_id))
            await bench.watch("v")
            await bench.watch("never published")
            found = [upload_id for upload_id, head in bench.broker.unwatched() if head.version == (1, 1)]
            kept = [upload_id for upload_id in ("u", "v", "w", "x") if bench.broker.keeps(upload_id)]

            assert found == kept == ([] if bench.broker.heads is None else ["u", "w"])

        run(act)

    def test_events_may_come_during_a_look(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            for upload_id in ("u", "v"):
                await bench.publish(progress(upload_id=upload_id))
            looking = bench.broker.unwatched()
            first = [upload_id for upload_id, _ in [next(looking, ("", None))] if upload_id]
            await bench.publish(progress(upload_id="u", number=1))
            await bench.publish(progress(upload_id="w"))
            await bench.watch("v")

            assert [*first, *(upload_id for upload_id, _ in looking)] == ([] if bench.broker.heads is None else ["u", "v"])

        run(act)


class TestFailure:
    @pytest.mark.parametrize("turns", [0, 1, 2])
    def test_a_publish_that_is_cancelled_is_done_whole_or_not_at_all(self, run: Run, turns: int) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            publishing = asyncio.create_task(bench.publish(progress(upload_id="u")))
            for _ in range(turns):
                await asyncio.sleep(0)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            await bench.settle()

            head = await bench.broker.head("u")
            again = await bench.publish(progress(upload_id="u"))
            await bench.settle()
            assert again.verdict is (Verdict.DUPLICATE if head is not None else Verdict.ACCEPTED)
            assert bench.versions("u") == [(1, 1)]

        run(act)

    def test_stopping_twice_does_no_harm_and_nothing_is_told_after_it(self, run: Run) -> None:
        async def act(bench: Bench) -> None:
            await bench.watch("u")
            publishing = asyncio.create_task(bench.publish(progress(upload_id="u")))
            await bench.broker.stop()
            told = list(bench.told)
            await asyncio.gather(publishing, return_exceptions=True)
            await bench.broker.stop()
            await bench.settle()

            assert bench.told == told

        run(act)
