"""Redis is away while a job runs."""

import asyncio
import logging

import pytest

from tests.publisher.nodes import hearing, stored, until
from tests.redis_server import RedisServer
from vuemantics_ws import NotPublished, Receipt, Stage, UploadProgressPublisher

PREFIX = "vuemantics-ws:"


@pytest.mark.slow
def test_a_job_goes_on_while_redis_is_gone_and_its_end_arrives_after_it(own_redis: RedisServer) -> None:
    async def scene() -> None:
        async with UploadProgressPublisher(own_redis.url) as publisher, publisher.upload("a") as upload:
            upload.progress(Stage.QUEUED)
            await until(lambda: publisher.statistics.sent == 1)
            own_redis.kill()

            for percent in range(20, 50):
                upload.progress(Stage.VISION_ANALYSIS, percent)
                await asyncio.sleep(0.1)
            ending = asyncio.create_task(upload.completed("a beach", 87))
            await asyncio.sleep(0.1)
            assert publisher.statistics == (1, 0, 0, 0, 1)
            own_redis.start()
            receipt = await ending

            assert receipt.verdict.is_success
            assert stored(own_redis, PREFIX, "a")["description"] == "a beach"
            assert publisher.statistics == (2, 30, 0, 0, 0)

    asyncio.run(scene())


@pytest.mark.slow
def test_the_newest_progress_arrives_when_redis_is_back(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scene() -> None:
        async with UploadProgressPublisher(own_redis.url) as publisher:
            own_redis.kill()
            upload = publisher.upload("a")
            for percent in range(20, 31):
                upload.progress(Stage.VISION_ANALYSIS, percent)
                await asyncio.sleep(0.05)
            own_redis.start()

            await until(lambda: stored(own_redis, PREFIX, "a") != {})
            await until(lambda: publisher.statistics.waiting == 0)

            assert stored(own_redis, PREFIX, "a")["payload"]["progress_percent"] == 30

    asyncio.run(scene())

    texts = [record.getMessage() for record in caplog.records if record.name.startswith("vuemantics_ws.publisher")]
    assert texts == [
        f"progress waits: redis at 127.0.0.1:{own_redis.port} does not answer: nobody listens there",
        "progress is published again",
    ]


@pytest.mark.slow
def test_what_a_hung_redis_heard_twice_shows_once(own_redis: RedisServer) -> None:
    async def scene() -> None:
        async with hearing(own_redis, PREFIX) as heard, UploadProgressPublisher(own_redis.url) as publisher:
            upload = publisher.upload("a")
            upload.progress(Stage.QUEUED)
            await until(lambda: len(heard.heads) == 1)
            own_redis.pause()

            ending = asyncio.create_task(upload.completed("a beach", 87))
            outgoing = publisher.outgoing()
            assert outgoing is not None
            await until(lambda: outgoing._failures == 1)
            own_redis.resume()
            receipt = await ending

            await until(lambda: len(heard.heads) == 2)
            assert receipt.version == (1, 2)
            assert heard.actions == ["progress", "completed"]

    asyncio.run(scene())


@pytest.mark.parametrize("away", ["stop", "pause"])
def test_an_end_that_meets_no_redis_is_reported_at_its_deadline(own_redis: RedisServer, away: str) -> None:
    failures: list[NotPublished] = []

    async def scene() -> None:
        settings = {"deadline_s": 0.3, "on_failure": failures.append}
        async with UploadProgressPublisher(own_redis.url, **settings) as publisher:  # type: ignore[arg-type]
            getattr(own_redis, away)()
            upload = publisher.upload("a")
            async with asyncio.timeout(2):
                with pytest.raises(NotPublished) as raised:
                    await upload.completed("a beach", 87)

            assert raised.value.upload_id == "a"
            assert raised.value.reason.startswith("0.3 s have passed; ")
            assert upload.outcome is raised.value
            assert failures == [raised.value]
            assert publisher.statistics == (0, 0, 0, 1, 0)

    asyncio.run(scene())


def test_a_job_that_succeeded_is_not_failed_because_nobody_could_be_told(own_redis: RedisServer) -> None:
    failures: list[NotPublished] = []

    async def scene() -> None:
        own_redis.stop()
        settings = {"deadline_s": 0.2, "on_failure": failures.append}
        async with UploadProgressPublisher(own_redis.url, **settings) as publisher:  # type: ignore[arg-type]
            async with publisher.upload("a") as upload:
                upload.set_result("a beach", 87)

            assert upload.outcome is failures[0]

    asyncio.run(scene())


def test_what_is_told_of_failures_may_fail(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    def raises(failure: NotPublished) -> None:
        raise LookupError

    async def scene() -> None:
        own_redis.stop()
        async with UploadProgressPublisher(own_redis.url, deadline_s=0.2, on_failure=raises) as publisher:
            async with publisher.upload("a") as upload:
                upload.set_result("a beach", 87)

    asyncio.run(scene())

    assert "on_failure raised LookupError" in caplog.text


def test_closing_drops_progress_after_one_more_try(own_redis: RedisServer) -> None:
    async def scene() -> None:
        own_redis.stop()
        async with UploadProgressPublisher(own_redis.url) as publisher:
            publisher.upload("a").progress(Stage.QUEUED)
            publisher.upload("b").progress(Stage.QUEUED)

        assert publisher.statistics == (0, 0, 2, 0, 0)

    asyncio.run(scene())


def test_being_cancelled_while_closing_reports_the_ends_that_wait(own_redis: RedisServer) -> None:
    async def scene() -> None:
        own_redis.stop()
        upload = None

        async def job() -> None:
            nonlocal upload
            async with UploadProgressPublisher(own_redis.url) as publisher:
                upload = publisher.upload("a")
                upload._say_completed("a beach", 80)

        closing = asyncio.create_task(job())
        await until(lambda: upload is not None)
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)

        assert upload is not None
        assert isinstance(upload.outcome, NotPublished)

    asyncio.run(scene())


def test_a_full_redis_is_an_outage_like_any_other(own_redis: RedisServer) -> None:
    async def scene() -> None:
        async with UploadProgressPublisher(own_redis.url) as publisher:
            upload = publisher.upload("a")
            upload.progress(Stage.QUEUED)
            await until(lambda: publisher.statistics.sent == 1)
            own_redis.cli("config", "set", "maxmemory", "1")
            ending = asyncio.create_task(upload.completed("a beach", 87))
            outgoing = publisher.outgoing()
            assert outgoing is not None
            await until(lambda: outgoing._failures > 0)
            assert "is out of memory" in outgoing._reason
            own_redis.cli("config", "set", "maxmemory", "0")

            assert isinstance(await ending, Receipt)

    asyncio.run(scene())


def test_an_upload_that_redis_cannot_take_holds_up_no_other(own_redis: RedisServer) -> None:
    async def scene() -> None:
        own_redis.cli("set", f"{PREFIX}head:{{broken}}", "no hash")
        async with UploadProgressPublisher(own_redis.url, deadline_s=0.5) as publisher:
            broken, whole = publisher.upload("broken"), publisher.upload("whole")
            broken._say_completed("a beach", 80)

            assert (await whole.completed("a beach", 80)).verdict.is_success

        assert isinstance(broken.outcome, NotPublished)

    asyncio.run(scene())
