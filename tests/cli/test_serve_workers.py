"""``serve --workers``: several processes on one port around a real Redis, and one control port for all of them."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.cli.program import Outcome, ended, read_until, run, running
from tests.cli.terminal import terminal
from tests.redis_server import RedisServer, wait_until
from vuemantics_ws.errors import BadSetting
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws_cli.commands.serve import read_workers

_NUMBERS = count()

WITHIN_S = 20.0
"""What a worker may take to start again on a machine that is busy."""


class Workers(NamedTuple):
    """A supervisor that is ready."""

    process: "subprocess.Popen[str]"
    url: str
    control: str
    pids: list[int]

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.url)[0])

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.control + path)

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/readyz").json()["workers"]
        return found

    def counted(self, metric: str) -> dict[str, float]:
        """A metric of each worker."""
        rows = re.findall(rf'^vuemantics_ws_{metric}{{worker="(\d+)"}} (\S+)$', self.get("/metrics").text, re.MULTILINE)
        return {worker: float(value) for worker, value in rows}


@contextlib.contextmanager
def workers(redis: RedisServer, state: Path, *options: str) -> Iterator[Workers]:
    around = ("--redis", redis.url, "--redis-prefix", f"workers-{next(_NUMBERS)}:")
    arguments = ("serve", *around, "--port", "0", "--control-port", "0", "--json", *options)
    with running(*arguments, VUEMANTICS_WS_STATE_DIR=str(state)) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        yield Workers(process, ready["url"], ready["control"], ready["workers"])


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that have not ended."""
    return [pid for pid in pids if not has_ended(pid)]


@contextlib.contextmanager
def browser(of: Workers, user_id: str) -> Iterator[ClientConnection]:
    """Connected and authenticated."""
    token = httpx.post(of.control + "/tokens", json={"user_id": user_id}).json()["token"]
    with connect(of.url, proxy=None, compression=None) as socket:
        socket.send(json.dumps({"type": "auth", "token": token}))
        assert told(socket) == {"action": "auth_success", "user_id": user_id}
        yield socket


def told(socket: ClientConnection) -> dict[str, Any]:
    """The next message that is no ping."""
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout=WITHIN_S))
        if message["action"] != "ping":
            return message


def until_the_end(socket: ClientConnection) -> str:
    """Which upload is the first that is told to have completed."""
    while (message := told(socket))["action"] != "upload_completed":
        pass
    return str(message["upload_id"])


def subscribe(socket: ClientConnection, upload_id: str) -> None:
    socket.send(json.dumps({"action": "subscribe_upload", "upload_id": upload_id}))
    assert told(socket)["action"] == "subscribed"


def close_code(socket: ClientConnection) -> int | None:
    """How the server closes; what it says before is dropped."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            socket.recv()
    return socket.close_code


class TestRefused:
    def test_without_redis_several_processes_would_not_hear_of_each_other(self) -> None:
        outcome = run("serve", "--workers", "2")

        assert outcome == Outcome(
            2,
            "",
            "error: --workers: expected --redis, since 2 processes hear of each other through it\n"
            "hint: start a Redis, and name it: --redis redis://127.0.0.1:6379\n",
        )

    @pytest.mark.parametrize("text", ["0", "-1", "257", "many", "1.5", "٣"])
    def test_what_is_no_number_of_workers(self, text: str) -> None:
        outcome = run("serve", "--workers", text, "--redis", "redis://127.0.0.1")

        assert outcome.code == 2
        assert outcome.err == f"error: --workers: expected 1 to 256 or auto, got {text!r}\n"

    def test_one_wants_no_redis_and_auto_is_one_for_each_core(self) -> None:
        around_redis = Settings(redis="redis://127.0.0.1")

        assert read_workers("1", Settings()) == 1
        assert read_workers("auto", around_redis) == len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else True
        with pytest.raises(BadSetting):
            read_workers("4", Settings())


@pytest.fixture(scope="module")
def served(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Two workers, for tests that leave them as they are."""
    with workers(redis, tmp_path_factory.mktemp("state"), "--workers", "2", "--drain", "0") as found:
        yield found


@pytest.mark.slow
class TestServing:
    def test_it_is_ready_when_all_are_and_says_which_processes_they_are(self, served: Workers) -> None:
        described = served.workers()

        assert [worker["pid"] for worker in described] == served.pids
        assert [(worker["worker"], worker["ready"]) for worker in described] == [(1, True), (2, True)]
        assert served.get("/healthz").json() == {"state": "ready"}

    def test_connections_are_spread_over_the_workers(self, served: Workers) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            wait_until(lambda: sum(served.counted("connections").values()) == 200, WITHIN_S)

            counts = served.counted("connections")

        assert set(counts) == {"1", "2"}
        if sys.platform == "linux":
            assert min(counts.values()) > 50

    def test_whatever_every_worker_knows_any_of_them_answers(self, served: Workers) -> None:
        token = httpx.post(served.control + "/tokens", json={"user_id": "alice"})
        unknown = served.get("/nothing")
        bad = served.get("/uploads?filter=colour%3Dred")

        assert (token.status_code, token.json()["user_id"]) == (200, "alice")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
        assert (bad.status_code, bad.json()["error"]["code"]) == (422, "bad_query")
        assert "/events" in served.get("/openapi.json").json()["paths"]

    def test_a_stranger_is_refused_as_at_a_node(self, served: Workers) -> None:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert httpx.get(served.control + "/uploads", headers=headers).status_code == 403
        too_big = httpx.post(served.control + "/events", content=b"x" * 70_000, headers={"Content-Type": "application/json"})
        assert (too_big.status_code, too_big.json()["error"]["code"]) == (413, "too_large")

    def test_what_happens_in_any_worker_is_told_with_its_number(self, served: Workers) -> None:
        seen: set[int] = set()
        with (
            httpx.stream("GET", served.control + "/happenings", timeout=WITHIN_S) as happening,
            contextlib.ExitStack() as stack,
        ):
            lines = happening.iter_lines()
            for number in range(40):
                stack.enter_context(browser(served, f"user-{number}"))
            while len(seen) < 2:
                told = json.loads(next(lines))
                if told["kind"] == "connected":
                    seen.add(told["worker"])

        assert seen == {1, 2}

    def test_scope_node_is_all_workers_of_the_machine_whatever_redis_says(self, served: Workers) -> None:
        with contextlib.ExitStack() as stack:
            for number in range(12):
                stack.enter_context(browser(served, f"user-{number}"))

            statistics = served.get("/statistics").json()
            page = served.get("/connections?scope=node&limit=5&offset=5&sort=user").json()
            with httpx.stream("GET", served.control + "/watch?scope=node&view=connections&every=250ms") as watching:
                frame = json.loads(next(watching.iter_lines()))

        names = [f"{frame['node']['name']}/{number}" for number in (1, 2)]
        assert statistics["state"] == "ready"
        assert statistics["tables"]["connections"] == 12 <= statistics["counters"]["connects"]
        assert (page["total"], page["offset"], page["nodes"], page["missing"]) == (12, 5, names, [])
        assert [row["user"] for row in page["rows"]] == sorted(f"user-{number}" for number in range(12))[5:10]
        assert frame["tables"]["connections"] == 12
        assert frame["node"]["pid"] == served.process.pid
        assert frame["node"]["control"] == served.control
        assert [node["name"] for node in frame["nodes"]] == names
        assert {row["node"] for row in frame["views"][0]["rows"]} == set(names)

    @pytest.mark.parametrize("scope", ["node", "cluster"])
    def test_who_watches_no_more_leaves_nothing_behind(self, served: Workers, scope: str) -> None:
        """Each worker lets no more than 64 watch."""
        with httpx.Client() as client:
            for _ in range(140):
                with client.stream("GET", f"{served.control}/watch?view=uploads&scope={scope}") as watching:
                    assert watching.status_code == 200
                    next(watching.iter_lines())

    @pytest.mark.parametrize("path", ["/uploads?scope=node&filter=colour%3Dred", "/uploads?scope=node&limit=500&offset=1"])
    def test_what_the_workers_cannot_be_asked_is_refused(self, served: Workers, path: str) -> None:
        for asked in (path, path.replace("/uploads?", "/watch?view=uploads&")):
            answer = served.get(asked)

            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_query")

    def test_a_connection_is_ended_by_its_number_and_its_node(self, served: Workers) -> None:
        with browser(served, "alice") as alice:
            (row,) = served.get("/connections?scope=node&filter=user%3Dalice").json()["rows"]
            path = f"{served.control}/connections/{row['connection']}"
            of_whom = httpx.delete(path)
            ended = httpx.delete(path, params={"node": row["node"]})

            code = close_code(alice)

        assert (of_whom.status_code, of_whom.json()["error"]["code"]) == (422, "bad_request")
        assert of_whom.json()["error"]["message"] == "node: expected the connection's, since each worker counts for itself"
        assert (ended.status_code, ended.json()["kicked"]) == (200, 1)
        assert code == 1012


@pytest.mark.slow
class TestAroundRedis:
    def test_what_is_published_reaches_the_browsers_of_every_worker(self, served: Workers) -> None:
        with contextlib.ExitStack() as stack:
            browsers = [stack.enter_context(browser(served, f"user-{number}")) for number in range(12)]
            for one in browsers:
                subscribe(one, "holiday")

            outcome = run("publish", "holiday", "50", "--control", served.control, "--json")

            heard = [told(one) for one in browsers]
            state = served.get("/uploads/holiday").json()
        (receipt,) = outcome.objects
        assert (receipt["verdict"], receipt["receivers"]) == ("accepted", 2)
        assert {message["payload"]["progress_percent"] for message in heard} == {50}
        assert (state["attempt"], state["seq"]) == (1, 1)

    def test_whoever_was_on_a_worker_that_is_killed_finds_on_another_all_that_was_followed(
        self, redis: RedisServer, tmp_path: Path
    ) -> None:
        with workers(redis, tmp_path, "--workers", "2", "--drain", "0") as served, contextlib.ExitStack() as stack:
            browsers = {user: stack.enter_context(browser(served, user)) for user in (f"user-{number}" for number in range(10))}
            for user, one in browsers.items():
                subscribe(one, f"of-{user}")
            run("publish", "of-user-0", "20", "--control", served.control)

            os.kill(served.pids[0], signal.SIGKILL)
            lost = [user for user, one in browsers.items() if is_gone(one)]
            again = {user: stack.enter_context(browser(served, user)) for user in lost}

            for user in browsers:
                assert run("publish", f"of-{user}", "completed", "--control", served.control).code == 0
            ends = {user: until_the_end(again.get(user, one)) for user, one in browsers.items()}
        assert 0 < len(lost) < 10
        assert ends == {user: f"of-{user}" for user in browsers}

    def test_a_watch_is_of_all_of_them_whichever_answers(self, served: Workers) -> None:
        with contextlib.ExitStack() as stack:
            for number in range(12):
                stack.enter_context(browser(served, f"user-{number}"))

            looks = [run("watch", "--once", "--json", "--connections", "--control", served.control) for _ in range(2)]
            told = run("connections", "--control", served.control, "--json")

        frames = [look.objects[0] for look in looks]
        assert [frame["tables"]["connections"] for frame in frames] == [12, 12]
        assert len({frame["node"]["name"] for frame in frames}) == 2
        assert [len(frame["nodes"]) for frame in frames] == [2, 2]
        assert told.code == 0

    def test_while_redis_is_away_the_workers_are_not_ready_and_still_show_themselves(
        self, own_redis: RedisServer, tmp_path: Path
    ) -> None:
        with workers(own_redis, tmp_path, "--workers", "2", "--drain", "0") as served, browser(served, "alice"):
            own_redis.kill()
            wait_until(lambda: served.get("/readyz").status_code == 503, WITHIN_S)

            away = served.get("/readyz").json()
            page = served.get("/connections?scope=node").json()
            published = run("publish", "holiday", "50", "--control", served.control)
            own_redis.start()
            wait_until(lambda: served.get("/readyz").status_code == 200, WITHIN_S)

            again = run("publish", "holiday", "50", "--control", served.control)
        assert away["error"]["code"] == "broker_away"
        assert [worker["ready"] for worker in away["workers"]] == [False, False]
        assert [row["user"] for row in page["rows"]] == ["alice"]
        assert (published.code, again.code) == (3, 0)


@pytest.mark.slow
class TestEnding:
    def test_one_that_is_killed_is_there_again_and_its_browsers_find_another_meanwhile(
        self, redis: RedisServer, tmp_path: Path
    ) -> None:
        with workers(redis, tmp_path, "--workers", "2", "--drain", "0") as served, contextlib.ExitStack() as stack:
            browsers = [stack.enter_context(browser(served, f"user-{number}")) for number in range(20)]
            watching = stack.enter_context(
                httpx.stream("GET", served.control + "/watch?view=uploads&every=250ms", timeout=WITHIN_S)
            )
            frames = watching.iter_lines()
            next(frames)
            lost = int(served.counted("connections")["1"])

            os.kill(served.pids[0], signal.SIGKILL)

            gone = [one for one in browsers if is_gone(one)]
            again = [stack.enter_context(browser(served, f"user-{number}")) for number in range(len(gone))]
            wait_until(lambda: all(worker["ready"] for worker in served.workers()), WITHIN_S)
            following = {json.loads(next(frames))["node"]["pid"] for _ in range(4)}
            pids = [worker["pid"] for worker in served.workers()]
            restarts = re.findall(r"^vuemantics_ws_worker_restarts_total (\S+)$", served.get("/metrics").text, re.MULTILINE)
            log = read_until(served.process.stderr, "ended with")
            served.process.terminate()
            outcome = ended(served.process)

        assert 0 < lost == len(gone) == len(again)
        assert pids[0] != served.pids[0]
        assert pids[1] == served.pids[1]
        assert following <= set(pids)
        assert restarts == ["1.0"]
        assert f"worker 1 (process {served.pids[0]}) ended with SIGKILL: it starts again at once" in log
        assert outcome.code == 0
        assert alive(pids) == []

    def test_one_that_is_told_to_stop_drains_while_whoever_is_new_gets_another_and_comes_back(
        self, redis: RedisServer, tmp_path: Path
    ) -> None:
        with workers(redis, tmp_path, "--workers", "2", "--drain", "1s") as served, contextlib.ExitStack() as stack:
            browsers = [stack.enter_context(browser(served, f"user-{number}")) for number in range(20)]
            os.kill(served.pids[0], signal.SIGTERM)
            wait_until(lambda: not served.workers()[0]["ready"], WITHIN_S)

            later = [stack.enter_context(browser(served, f"later-{number}")) for number in range(20)]

            wait_until(lambda: served.workers()[0]["ready"], WITHIN_S)
            codes = [close_code(one) for one in browsers if is_gone(one)]
            log = read_until(served.process.stderr, "ended with")
            assert not any(is_gone(one) for one in later)
        assert 0 < len(codes) < 20
        assert set(codes) == {1012}
        assert f"worker 1 (process {served.pids[0]}) ended with code 0: it starts again at once" in log

    def test_one_that_hangs_is_missing_until_it_goes_on(self, redis: RedisServer, tmp_path: Path) -> None:
        with workers(redis, tmp_path, "--workers", "2", "--drain", "0") as served:
            path = "/watch?scope=node&view=uploads&every=250ms"
            with httpx.stream("GET", served.control + path, timeout=WITHIN_S) as watching:
                frames = map(json.loads, watching.iter_lines())
                before = next(frames)["missing"]

                os.kill(served.pids[0], signal.SIGSTOP)

                missing = next(frame["missing"] for frame in frames if frame["missing"])
                ready = served.get("/readyz")
                os.kill(served.pids[0], signal.SIGCONT)
                after = next(frame["missing"] for frame in frames if not frame["missing"])

        assert (before, after) == ([], [])
        assert [name.rpartition("/")[2] for name in missing] == ["1"]
        assert (ready.status_code, [worker["ready"] for worker in ready.json()["workers"]]) == (200, [False, True])

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
    def test_a_signal_makes_all_of_them_say_goodbye(self, redis: RedisServer, tmp_path: Path, number: signal.Signals) -> None:
        with workers(redis, tmp_path, "--workers", "2", "--drain", "100ms") as served, contextlib.ExitStack() as stack:
            browsers = [stack.enter_context(browser(served, f"user-{number}")) for number in range(10)]

            served.process.send_signal(number)

            codes = [close_code(one) for one in browsers]
            outcome = ended(served.process)
        assert codes == [1012] * 10
        assert (outcome.code, outcome.out) == (0, "")
        assert alive(served.pids) == []

    def test_a_second_signal_ends_them_at_once(self, redis: RedisServer, tmp_path: Path) -> None:
        with workers(redis, tmp_path, "--workers", "2", "--drain", "1h") as served, contextlib.ExitStack() as stack:
            for number in range(10):
                stack.enter_context(browser(served, f"user-{number}"))

            served.process.terminate()
            wait_until(lambda: served.get("/readyz").status_code == 503, WITHIN_S)
            served.process.terminate()

            assert ended(served.process).code == 0
        assert alive(served.pids) == []

    def test_where_the_supervisor_is_killed_nobody_is_left(self, redis: RedisServer, tmp_path: Path) -> None:
        with workers(redis, tmp_path, "--workers", "2", "--drain", "0") as served:
            served.process.kill()

            wait_until(lambda: alive(served.pids) == [], WITHIN_S)

    @pytest.mark.parametrize("option", ["--port", "--control-port"])
    def test_a_port_that_is_taken_exits_3(self, redis: RedisServer, tmp_path: Path, option: str) -> None:
        other = "--control-port" if option == "--port" else "--port"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            arguments = ("serve", "--workers", "2", "--redis", redis.url, option, str(taken.getsockname()[1]), other, "0")

            with running(*arguments, VUEMANTICS_WS_STATE_DIR=str(tmp_path)) as process:
                outcome = ended(process)

        assert outcome.code == 3
        assert "error: cannot listen on 127.0.0.1 port" in outcome.err
        assert option in outcome.err

    def test_where_no_worker_can_ever_listen_the_exit_code_is_its_own_and_the_reason_is_said_once(
        self, redis: RedisServer, tmp_path: Path
    ) -> None:
        program = f"{sys.executable} -m vuemantics_ws_cli serve --workers 3 --redis {redis.url} --port 0 --control-port 0"
        process = subprocess.run(
            ["sh", "-c", f"ulimit -n 300; exec {program}"],
            env={**os.environ, "VUEMANTICS_WS_STATE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert process.returncode == 3
        assert process.stderr.count("error:") == 1
        assert "worker 1: error: this process may open 300 files" in process.stderr


@pytest.mark.slow
def test_with_tables_what_workers_log_waits_until_these_end(redis: RedisServer, tmp_path: Path) -> None:
    arguments = (
        "serve",
        "--watch",
        "--workers",
        "2",
        "--redis",
        redis.url,
        "--port",
        "0",
        "--control-port",
        "0",
        "--drain",
        "0",
    )
    with terminal(*arguments, lines=40, VUEMANTICS_WS_STATE_DIR=str(tmp_path)) as shown:
        shown.shows("ready", "q quit")
        children = psutil.Process(shown.process.pid).children()
        worker = next(child for child in children if "vuemantics_ws.gateway" in child.cmdline())
        worker.kill()
        wait_until(lambda: has_ended(worker.pid), WITHIN_S)
        assert b"SIGKILL" not in shown.written

        shown.press("q")

        shown.shows("is ready", "workers", "ended with SIGKILL: it starts again at once")
        shown.press("\x03")
        assert shown.ended() == 0


def has_ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def is_gone(socket: ClientConnection) -> bool:
    """Whether its server has closed it, or ended."""
    try:
        while True:
            socket.recv(timeout=0.05)
    except TimeoutError:
        return False
    except ConnectionClosed:
        return True
