"""``UploadProgressPublisher`` with a real Redis."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.publisher.nodes import Heard, hearing, stored, until
from tests.redis_server import RedisCluster, RedisServer
from vuemantics_ws import (
    BadEvent,
    BadSetting,
    NotPublished,
    Receipt,
    Stage,
    UploadFailed,
    UploadProgressPublisher,
    Verdict,
)
from vuemantics_ws.ambient import SystemClock, timestamp
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.publisher.publisher import PublishedUpload

NOBODY = "redis://127.0.0.1:1"


class Oops(Exception):
    """What a job raises."""


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def progress_of(heard: Heard) -> list[dict[str, Any]]:
    return [message["payload"] for message in heard.messages if "payload" in message]


def failure() -> UploadFailed:
    return UploadFailed(upload_id="a", error_message="no", timestamp=timestamp(SystemClock()), attempt=3, seq=9)


class TestProgress:
    def test_what_is_said_first_arrives_at_once_with_what_was_left_out(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with hearing(redis, prefix) as heard, UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                publisher.upload("a", owner="alice").progress(Stage.VISION_ANALYSIS)

                await until(lambda: len(heard.heads) == 1)

                assert heard.heads[0].owner == "alice"
                assert progress_of(heard) == [
                    {
                        "upload_id": "a",
                        "status": "analyzing",
                        "stage": "vision_analysis",
                        "progress_percent": 20,
                        "message": "Looking at what is in it",
                        "error_message": None,
                        "description_audit_score": None,
                    }
                ]

        run(scene())

    def test_what_is_given_wins(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with hearing(redis, prefix) as heard, UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                publisher.upload("a").progress(Stage.INDEXING, 93.7, "almost", audit_score=81)

                await until(lambda: len(heard.heads) == 1)

                (payload,) = progress_of(heard)
                assert payload["status"] == "embedding"
                assert (payload["progress_percent"], payload["message"]) == (93, "almost")
                assert payload["description_audit_score"] == 81

        run(scene())

    def test_a_tight_loop_becomes_its_first_and_its_newest(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with hearing(redis, prefix) as heard:
                async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                    upload = publisher.upload("a")
                    upload.progress(Stage.VISION_ANALYSIS, 20)
                    await until(lambda: len(heard.heads) == 1)
                    for percent in range(21, 50):
                        upload.progress(Stage.VISION_ANALYSIS, percent)
                    await until(lambda: heard.percents[-1] == 49)

                assert heard.percents == [20, 49]
                assert heard.versions == [(1, 1), (1, 2)]
                assert publisher.statistics == (2, 28, 0, 0, 0)

        run(scene())

    def test_an_upload_that_is_done_leaves_neither_task_nor_timer(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                async with publisher.upload("a") as upload:
                    upload.progress(Stage.QUEUED)
                    upload.set_result("a beach", 80)
                await asyncio.sleep(0)

                outgoing = publisher.outgoing()
                assert outgoing is not None
                assert outgoing._task is None
                assert outgoing._deadlines == {}
                assert publisher.statistics.waiting == 0

        run(scene())

    def test_many_uploads_leave_together(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with hearing(redis, prefix) as heard, UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                for number in range(300):
                    publisher.upload(f"u{number}").progress(Stage.QUEUED)

                await until(lambda: len(heard.heads) == 300)

                assert {payload["upload_id"] for payload in progress_of(heard)} == {f"u{number}" for number in range(300)}

        run(scene())

    def test_it_may_be_said_from_threads(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with hearing(redis, prefix) as heard, UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                async with publisher.upload("a") as upload:

                    def work() -> None:
                        for _ in upload.track(range(1000), Stage.VISION_ANALYSIS):
                            pass

                    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(3)))
                    await until(lambda: heard.percents[-1:] == [50])
                    await upload.completed("a beach", 80)

                statistics = publisher.statistics
                assert statistics.sent + statistics.conflated == 3 * 31 + 1
                assert heard.versions == sorted(set(heard.versions))

        run(scene())

    def test_what_cannot_be_said_is_dropped_and_named_without_its_text(
        self, redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                upload = publisher.upload("a")
                upload.progress("secret")  # type: ignore[arg-type]
                await until(lambda: publisher.statistics.dropped == 1)
                upload.progress(Stage.QUEUED, 5, audit_score=777)
                await until(lambda: publisher.statistics.dropped == 2)

        run(scene())

        (record,) = caplog.records
        assert record.getMessage().startswith("progress of upload a is dropped: expected a stage: queued, ")
        assert "secret" not in caplog.text

    def test_an_id_that_no_server_takes_is_refused_before_the_job_begins(self, redis: RedisServer) -> None:
        publisher = UploadProgressPublisher(redis.url)

        with pytest.raises(BadEvent, match="expected an upload_id of"):
            publisher.upload("a b")


async def _job_that_raises(publisher: UploadProgressPublisher, error: Exception) -> None:
    async with publisher.upload("a") as upload:
        upload.set_result("a beach", 87)
        raise error


async def _job_that_says_it_all(publisher: UploadProgressPublisher) -> None:
    async with publisher.upload("a") as upload:
        first = await upload.completed("a beach", 87)
        assert await upload.failed("no") == first
        upload.progress(Stage.QUEUED)
        raise Oops


class TestEnds:
    def test_completed_waits_for_its_receipt(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher, publisher.upload("a") as upload:
                receipt = await upload.completed("a beach", 87)

                assert receipt == Receipt(Verdict.ACCEPTED, (1, 1), 0, False)  # type: ignore[arg-type]
                assert upload.outcome == receipt
                message = stored(redis, prefix, "a")
                assert (message["action"], message["description"], message["audit_score"]) == (
                    "upload_completed",
                    "a beach",
                    87,
                )

        run(scene())

    def test_the_end_of_the_block_says_the_result(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                async with publisher.upload("a") as upload:
                    upload.set_result("a beach", 87)
                    assert upload.outcome is None

                assert isinstance(upload.outcome, Receipt)
                assert stored(redis, prefix, "a")["description"] == "a beach"

        run(scene())

    def test_an_exception_becomes_a_failure_that_does_not_quote_it(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                with pytest.raises(Oops):
                    await _job_that_raises(publisher, Oops("password 123"))

                assert stored(redis, prefix, "a")["error_message"] == "The processing failed (Oops)"

        run(scene())

    def test_the_text_of_a_failure_may_be_ones_own_and_none_says_nothing(self, redis: RedisServer, prefix: str) -> None:
        def text(error: BaseException) -> str | None:
            return "The picture is damaged" if isinstance(error, ValueError) else None

        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix, failure_text=text) as publisher:
                for upload_id, error in (("a", ValueError()), ("b", Oops())):
                    with pytest.raises(type(error)):
                        async with publisher.upload(upload_id):
                            raise error

                assert stored(redis, prefix, "a")["error_message"] == "The picture is damaged"
                assert stored(redis, prefix, "b") == {}

        run(scene())

    def test_a_text_that_cannot_be_made_falls_back_and_keeps_the_jobs_exception(self, redis: RedisServer, prefix: str) -> None:
        def text(error: BaseException) -> str | None:
            raise LookupError

        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix, failure_text=text) as publisher:
                with pytest.raises(Oops):
                    async with publisher.upload("a"):
                        raise Oops

                assert stored(redis, prefix, "a")["error_message"] == "The processing failed (Oops)"

        run(scene())

    def test_a_block_that_says_no_end_leaves_the_upload_to_the_next_job(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with hearing(redis, prefix) as heard, UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                async with publisher.upload("a") as first:
                    first.progress(Stage.EXTRACTING_FRAMES)
                await until(lambda: len(heard.heads) == 1)

                async with publisher.upload("a") as second:
                    second.progress(Stage.VISION_ANALYSIS)
                    await until(lambda: len(heard.heads) == 2)
                    await second.completed("a beach", 87)

                await until(lambda: len(heard.heads) == 3)
                assert heard.actions == ["progress", "progress", "completed"]
                assert heard.versions == [(1, 1), (1, 2), (1, 3)]

        run(scene())

    def test_the_first_end_counts(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                with pytest.raises(Oops):
                    await _job_that_says_it_all(publisher)

                assert stored(redis, prefix, "a")["action"] == "upload_completed"

        run(scene())

    def test_being_cancelled_is_a_failure_that_is_published_when_the_publisher_closes(
        self, redis: RedisServer, prefix: str
    ) -> None:
        async def job(publisher: UploadProgressPublisher, begun: asyncio.Event) -> None:
            async with publisher.upload("a") as upload:
                upload.progress(Stage.VISION_ANALYSIS)
                begun.set()
                await asyncio.Event().wait()

        async def scene() -> None:
            begun = asyncio.Event()
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                task = asyncio.create_task(job(publisher, begun))
                await begun.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert task.cancelled()

            assert stored(redis, prefix, "a")["error_message"] == "The processing was cut short"

        run(scene())

    def test_who_is_cancelled_while_waiting_has_published_all_the_same(self, own_redis: RedisServer) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(own_redis.url) as publisher:
                upload = publisher.upload("a")
                own_redis.pause()
                waiting = asyncio.create_task(upload.completed("a beach", 87))
                await until(lambda: publisher.statistics.waiting == 1)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                own_redis.resume()

            assert isinstance(upload.outcome, Receipt)
            assert stored(own_redis, "vuemantics-ws:", "a")["action"] == "upload_completed"

        run(scene())

    def test_an_end_that_cannot_be_said_is_reported_at_once(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                with pytest.raises(NotPublished, match="the end of upload a was not published: expected `int` <= 100"):
                    await publisher.upload("a").completed("a beach", 101)

        run(scene())

    def test_a_job_that_is_run_again_opens_the_next_attempt(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with hearing(redis, prefix) as heard, UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                with pytest.raises(Oops):
                    async with publisher.upload("a"):
                        raise Oops
                async with publisher.upload("a") as again:
                    again.progress(Stage.VISION_ANALYSIS)
                    await until(lambda: len(heard.heads) == 2)
                    await again.completed("a beach", 87)

                await until(lambda: len(heard.heads) == 3)
                assert heard.versions == [(1, 1), (2, 1), (2, 2)]

        run(scene())

    def test_a_straggler_of_the_same_process_opens_no_attempt(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                part = publisher.upload("a")
                await publisher.upload("a").completed("a beach", 87)

                part.progress(Stage.INDEXING, 95)
                await until(lambda: publisher.statistics.dropped == 1)

            assert stored(redis, prefix, "a")["action"] == "upload_completed"

        run(scene())

    def test_two_processes_at_one_upload_are_both_heard(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            def another() -> UploadProgressPublisher:
                return UploadProgressPublisher(redis.url, prefix=prefix, interval_s=0.01)

            async with hearing(redis, prefix) as heard, another() as one, another() as two:
                blocks: list[PublishedUpload] = [one.upload("a"), two.upload("a")]
                for percent in range(20, 40):
                    for block in blocks:
                        block.progress(Stage.VISION_ANALYSIS, percent)
                        await heard.percent(percent)
                for number, block in enumerate(blocks):
                    await block.completed(f"from {number}", 80)

                assert stored(redis, prefix, "a")["description"] == "from 1"
                assert heard.versions == sorted(set(heard.versions))

        run(scene())


class TestRoom:
    def test_progress_beyond_the_room_is_dropped_and_an_end_takes_the_oldest_place(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(NOBODY, uploads_max=2, deadline_s=0.2) as publisher:
                blocks = [publisher.upload(f"u{number}") for number in range(5)]
                for block in blocks[:3]:
                    block.progress(Stage.QUEUED)
                await asyncio.sleep(0)
                assert publisher.statistics[2:] == (1, 0, 2)

                ends = [asyncio.create_task(block.completed("a beach", 80)) for block in blocks[2:]]
                await until(lambda: publisher.statistics.dropped == 3)
                with pytest.raises(NotPublished, match="the ends of 2 uploads wait already"):
                    await ends[2]
                answers = await asyncio.gather(*ends[:2], return_exceptions=True)
                assert [type(answer) for answer in answers] == [NotPublished, NotPublished]
                assert publisher.statistics == (0, 0, 3, 3, 0)

        run(scene())


class TestOneEvent:
    def test_an_event_is_published_as_it_is(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            event = failure()
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                first = await publisher.publish(event, owner="alice")
                again = await publisher.publish(event)

            assert first == Receipt(Verdict.ACCEPTED, (3, 9), 0, True)  # type: ignore[arg-type]
            assert again.verdict is Verdict.DUPLICATE

        run(scene())

    def test_it_is_refused_where_the_browser_would_refuse_it(self, redis: RedisServer) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url) as publisher:
                with pytest.raises(BadEvent):
                    await publisher.publish({"action": "upload_failed", "upload_id": "a"})

        run(scene())

    def test_it_says_at_once_that_redis_is_away(self) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(NOBODY) as publisher:
                with pytest.raises(BrokerAway, match="does not answer"):
                    await publisher.publish(failure())

        run(scene())

    def test_a_publisher_that_is_not_open_says_so(self) -> None:
        with pytest.raises(RuntimeError, match="expected an open publisher"):
            asyncio.run(UploadProgressPublisher(NOBODY).publish({}))


class TestSettings:
    @pytest.mark.parametrize("setting", ["deadline_s", "interval_s", "uploads_max"])
    def test_a_number_out_of_its_range_is_refused(self, setting: str) -> None:
        with pytest.raises(BadSetting, match="expected more than 0, got 0") as refused:
            UploadProgressPublisher(NOBODY, **{setting: 0})  # type: ignore[arg-type]

        assert refused.value.setting == setting

    def test_what_is_no_url_of_redis_is_refused(self) -> None:
        with pytest.raises(BadSetting):
            UploadProgressPublisher("http://127.0.0.1")


class TestClosed:
    def test_a_publisher_that_is_closed_or_was_never_opened_stands_in_nobodys_way(self, redis: RedisServer) -> None:
        async def scene() -> None:
            publisher = UploadProgressPublisher(redis.url)
            upload = publisher.upload("a")
            upload.progress(Stage.QUEUED)
            async with publisher:
                pass
            upload.progress(Stage.QUEUED)
            with pytest.raises(NotPublished, match="its publisher is closed"):
                await upload.completed("a beach", 80)

        run(scene())

    def test_a_loop_that_is_closed_stands_in_nobodys_way(self, redis: RedisServer, prefix: str) -> None:
        publisher = UploadProgressPublisher(redis.url, prefix=prefix)
        failures: list[NotPublished] = []
        publisher._on_failure = failures.append
        loop = asyncio.new_event_loop()
        loop.run_until_complete(publisher.__aenter__())
        upload = publisher.upload("a")
        loop.close()

        upload.progress(Stage.QUEUED)
        upload._say_completed("a beach", 80)

        assert publisher.statistics.dropped == 1
        assert [failure.reason for failure in failures] == ["its publisher's event loop is closed"]

    def test_closing_publishes_what_waits(self, redis: RedisServer, prefix: str) -> None:
        async def scene() -> None:
            async with UploadProgressPublisher(redis.url, prefix=prefix) as publisher:
                publisher.upload("a").progress(Stage.INDEXING, 91)

            assert stored(redis, prefix, "a")["payload"]["progress_percent"] == 91
            assert publisher.statistics == (1, 0, 0, 0, 0)

        run(scene())

    def test_no_log_line_quotes_what_was_said(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)

        async def scene() -> None:
            async with UploadProgressPublisher(NOBODY, deadline_s=0.1) as publisher:
                async with publisher.upload("a") as upload:
                    upload.progress(Stage.QUEUED, 5, "a secret message")
                    upload.set_result("a secret beach", 80)

        run(scene())

        assert "the end of upload a was not published: 0.1 s have passed; redis at 127.0.0.1:1 does not answer" in caplog.text
        assert "secret" not in caplog.text


def test_a_redis_cluster_is_published_to(redis_cluster: RedisCluster) -> None:
    async def scene() -> None:
        async with UploadProgressPublisher(redis_cluster.url) as publisher:
            blocks = [publisher.upload(f"u{number}") for number in range(20)]
            for block in blocks:
                block.progress(Stage.VISION_ANALYSIS)
            receipts = await asyncio.gather(*(block.completed("a beach", 80) for block in blocks))

        assert {receipt.verdict for receipt in receipts} == {Verdict.ACCEPTED}

    run(scene())
