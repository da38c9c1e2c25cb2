"""``SyncUploadProgressPublisher``: threads, forks, and the end of the interpreter, with a real Redis."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import pytest

from tests.publisher.nodes import stored
from tests.redis_server import RedisServer, wait_until
from vuemantics_ws import BadEvent, NotPublished, Receipt, Stage, SyncUploadProgressPublisher, Verdict
from vuemantics_ws.publisher import synchronous

DEFAULT_PREFIX = "vuemantics-ws:"
WITHIN_S = 10.0


class Oops(Exception):
    """What a job raises."""


def run_program(program: str, *arguments: str, timeout_s: float = 20) -> "subprocess.CompletedProcess[str]":
    """A program of its own, as a worker is. What it says on stderr is nothing."""
    head = "import logging, os, sys, threading\nfrom vuemantics_ws import Stage, SyncUploadProgressPublisher\n"
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", head + dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_a_block_says_progress_and_its_result(redis: RedisServer, prefix: str) -> None:
    with SyncUploadProgressPublisher(redis.url, prefix=prefix) as publisher:
        with publisher.upload("a", owner="alice") as upload:
            for _ in upload.track(range(100), Stage.EXTRACTING_FRAMES):
                pass
            upload.set_result("a beach", 87)

        assert isinstance(upload.outcome, Receipt)
        assert upload.outcome.owned
        assert stored(redis, prefix, "a")["description"] == "a beach"


def test_completed_and_failed_wait_for_their_receipts(redis: RedisServer, prefix: str) -> None:
    with SyncUploadProgressPublisher(redis.url, prefix=prefix) as publisher:
        completed = publisher.upload("a").completed("a beach", 87)
        failed = publisher.upload("b").failed("The picture is damaged")

    assert (completed.verdict, failed.verdict) == (Verdict.ACCEPTED, Verdict.ACCEPTED)
    assert stored(redis, prefix, "b")["error_message"] == "The picture is damaged"


def test_an_exception_becomes_a_failure(redis: RedisServer, prefix: str) -> None:
    with SyncUploadProgressPublisher(redis.url, prefix=prefix) as publisher:
        with pytest.raises(Oops), publisher.upload("a"):
            raise Oops("password 123")

        assert stored(redis, prefix, "a")["error_message"] == "The processing failed (Oops)"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_being_interrupted_is_a_failure_that_is_published_when_the_publisher_closes(
    redis: RedisServer, prefix: str, interruption: type[BaseException]
) -> None:
    with pytest.raises(interruption), SyncUploadProgressPublisher(redis.url, prefix=prefix) as publisher:
        with publisher.upload("a"):
            raise interruption

    assert stored(redis, prefix, "a")["error_message"] == "The processing was cut short"


def test_an_end_that_meets_no_redis_is_reported_at_its_deadline() -> None:
    failures: list[NotPublished] = []
    with SyncUploadProgressPublisher("redis://127.0.0.1:1", deadline_s=0.2, on_failure=failures.append) as publisher:
        with pytest.raises(NotPublished, match=r"0\.2 s have passed; redis at 127\.0\.0\.1:1 does not answer"):
            publisher.upload("a").completed("a beach", 87)

        with publisher.upload("b") as upload:
            upload.set_result("a beach", 87)

        assert [failure.upload_id for failure in failures] == ["a", "b"]
        assert publisher.statistics.failed == 2


def test_many_threads_share_one_publisher(redis: RedisServer, prefix: str) -> None:
    publisher = SyncUploadProgressPublisher(redis.url, prefix=prefix)

    def job(number: int) -> Receipt:
        with publisher.upload(f"u{number}") as upload:
            for _ in upload.track(range(1000), Stage.VISION_ANALYSIS):
                pass
            return upload.completed(f"number {number}", 80)

    with publisher, ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(job, range(64)))

    assert {receipt.verdict for receipt in receipts} == {Verdict.ACCEPTED}
    statistics = publisher.statistics
    assert statistics.sent + statistics.conflated == 64 * (31 + 1)
    assert statistics[2:] == (0, 0, 0)


def test_no_thread_is_started_before_something_is_said_and_none_is_left_after_the_end(redis: RedisServer, prefix: str) -> None:
    before = threading.active_count()

    with SyncUploadProgressPublisher(redis.url, prefix=prefix) as publisher:
        upload = publisher.upload("a")
        assert threading.active_count() == before
        upload.progress(Stage.QUEUED)
        assert threading.active_count() == before + 1
    publisher.close()

    assert threading.active_count() == before
    assert stored(redis, prefix, "a")["payload"]["stage"] == "queued"


def test_a_publisher_that_is_closed_stands_in_nobodys_way(redis: RedisServer) -> None:
    publisher = SyncUploadProgressPublisher(redis.url)
    publisher.close()

    upload = publisher.upload("a")
    upload.progress(Stage.QUEUED)

    with pytest.raises(NotPublished, match="its publisher is closed"):
        upload.completed("a beach", 80)


def test_an_id_that_no_server_takes_is_refused_before_the_job_begins() -> None:
    with pytest.raises(BadEvent):
        SyncUploadProgressPublisher().upload("a b")


@pytest.mark.slow
def test_a_child_after_a_fork_publishes_on_its_own_and_leaves_the_parent_whole(redis: RedisServer) -> None:
    program = """
        publisher = SyncUploadProgressPublisher(sys.argv[1])
        with publisher.upload("parent") as upload:
            upload.progress(Stage.QUEUED)
            publisher.upload("before").completed("before the fork", 80)
            children = []
            for number in range(3):
                if (pid := os.fork()) == 0:
                    with publisher.upload(f"child{number}") as mine:
                        mine.progress(Stage.VISION_ANALYSIS)
                        mine.set_result("from a child", 80)
                    sys.exit(0 if mine.outcome.verdict == "accepted" else 1)
                children.append(pid)
            assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
            upload.completed("from the parent", 80)
    """

    done = run_program(program, redis.url)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [stored(redis, DEFAULT_PREFIX, f"child{number}")["description"] for number in range(3)] == ["from a child"] * 3
    assert stored(redis, DEFAULT_PREFIX, "parent")["description"] == "from the parent"


@pytest.mark.slow
def test_a_child_says_nothing_of_what_waited_in_its_parent(redis: RedisServer) -> None:
    program = """
        logging.disable()  # of a child that was forked while a thread wrote to stderr, Python itself may hang
        publisher = SyncUploadProgressPublisher("redis://127.0.0.1:1", deadline_s=60)
        publisher.upload("of-the-parent").progress(Stage.QUEUED)
        publisher.upload("of-the-parent-too")._say_completed("never", 80)
        if os.fork() == 0:
            assert publisher.statistics.waiting == 0
            sys.exit(0)
        code = os.wait()[1]
        os._exit(code)
    """

    done = run_program(program)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_end_of_the_interpreter_publishes_what_waits(redis: RedisServer, host: str) -> None:
    program = """
        publisher = SyncUploadProgressPublisher(sys.argv[1])
        publisher.upload("last").progress(Stage.INDEXING, int(sys.argv[2]))
    """
    percent = {"127.0.0.1": 91, "localhost": 92}[host]

    done = run_program(program, f"redis://{host}:{redis.port}", str(percent))

    assert (done.returncode, done.stderr) == (0, "")
    assert stored(redis, DEFAULT_PREFIX, "last")["payload"]["progress_percent"] == percent


@pytest.mark.slow
def test_the_end_of_the_interpreter_waits_no_longer_than_the_deadline() -> None:
    program = """
        publisher = SyncUploadProgressPublisher("redis://127.0.0.1:1", deadline_s=0.3)
        publisher.upload("a").progress(Stage.QUEUED)
        publisher.upload("a")._say_completed("a beach", 80)
    """

    done = run_program(program, timeout_s=10)

    assert done.returncode == 0
    assert "the end of upload a was not published: 0.3 s have passed" in done.stderr


@pytest.mark.slow
def test_a_job_goes_on_while_redis_is_gone_and_its_end_arrives_after_it(own_redis: RedisServer) -> None:
    gone = threading.Event()

    def job(publisher: SyncUploadProgressPublisher) -> Receipt:
        with publisher.upload("a") as upload:
            upload.progress(Stage.QUEUED)
            wait_until(lambda: publisher.statistics.sent == 1, WITHIN_S)
            own_redis.kill()
            for _ in upload.track(range(1000), Stage.VISION_ANALYSIS):
                pass
            gone.set()
            return upload.completed("a beach", 87)

    with SyncUploadProgressPublisher(own_redis.url) as publisher, ThreadPoolExecutor(1) as pool:
        working = pool.submit(job, publisher)
        assert gone.wait(WITHIN_S)
        with pytest.raises(TimeoutError):
            working.result(3.0)
        own_redis.start()

        assert working.result(WITHIN_S).verdict.is_success
        assert stored(own_redis, DEFAULT_PREFIX, "a")["description"] == "a beach"


def test_a_thread_that_hangs_is_reported(redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchronous, "COMMAND_TIMEOUT_S", 0.1)
    with SyncUploadProgressPublisher(redis.url, prefix=prefix, deadline_s=0.1) as publisher:
        upload = publisher.upload("a")
        upload.progress(Stage.QUEUED)
        worker = publisher._worker
        assert worker is not None
        hangs = threading.Event()
        worker.loop.call_soon_threadsafe(hangs.wait, WITHIN_S)
        try:
            with pytest.raises(NotPublished, match="the thread that publishes hangs"):
                upload.completed("a beach", 87)
        finally:
            hangs.set()
