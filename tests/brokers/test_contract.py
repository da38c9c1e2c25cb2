"""What every broker promises (`brokers/base.py`), asked of each."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.brokers.benches import BENCHES, Bench
from tests.core import judge_vectors
from tests.events import completed, failed, progress
from vuemantics_ws.core.upload import Verdict

Act = Callable[[Bench], Awaitable[None]]
Run = Callable[[Act], None]


@pytest.fixture(params=list(BENCHES))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine with a broker that is opened before it and stopped after it."""
    open_bench = BENCHES[request.param]

    async def opened(act: Act) -> None:
        async with open_bench() as bench:
            await asyncio.wait_for(act(bench), 30)

    return lambda act: asyncio.run(opened(act))


class TestJudging:
    @pytest.mark.parametrize("name", judge_vectors.at_one_instant())
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
                if step.leaves is not None or step.owned_by is not None:
                    head = await bench.broker.head(upload_id)
                    assert head is not None
                    assert step.owned_by in (None, head.owner)
                    assert step.leaves in (None, head.frame.payload)
            await bench.settle()
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
            receipts = [await bench.publish(progress(upload_id="u", number=number)) for number in range(3)]
            await bench.publish(completed(upload_id="u"))
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
            await bench.publish(completed(upload_id="u", version=(1, 9)))
            await bench.settle()

            [(_, begun), (_, ended)] = bench.told
            assert begun.frame.payload == progress(upload_id="u").replace(b"{", b'{"attempt":1,"seq":1,', 1)
            assert ended.frame.payload == completed(upload_id="u", version=(1, 9))
            assert (begun.owner, ended.owner) == ("alice", "alice")
            assert b"alice" not in begun.frame.data

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
            receipt = await bench.publish(progress(upload_id="u", number=2))
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
