"""Real Redis for tests: servers, a master with Sentinels, and a Redis Cluster, each on free ports of this machine.

All of them keep their files in a folder that goes with them, and end when the tests end, however those end.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

PROGRAM = "redis-server"
HOW_TO_GET_IT = "redis-server is missing: apt-get install redis-server, or brew install redis"
STARTS_WITHIN_S = 20.0
LOOK_EVERY_S = 0.01


def require_redis_server() -> None:
    """Skip the test where there is no redis-server; in CI that is a failure."""
    if shutil.which(PROGRAM) is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)


def free_port() -> int:
    """One whose cluster bus, 10,000 above it, is a port, too."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port + 10_000 <= 65_535:
            return port


class RedisServer:
    """One ``redis-server`` process, running between ``with`` and its end. It keeps its port over a restart.

    Args:
        options: of its configuration, as on its command line: ``"--maxmemory", "2mb"``.
        port: a free one by default.
    """

    def __init__(self, *options: str, port: int | None = None) -> None:
        require_redis_server()
        self.port = port or free_port()
        self.options = options
        self._folder = tempfile.TemporaryDirectory(prefix="vuemantics-ws-redis-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        self.kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns once it answers, or has said that it loads its data."""
        command = [PROGRAM, *self._arguments(), *self.options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        wait_until(lambda: self.cli("ping") != "", STARTS_WITHIN_S, self.log)

    def _arguments(self) -> list[str]:
        folder = ("--dir", str(self.folder))
        return ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *folder]

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """As an operator stops it. It says goodbye to its clients, and keeps what it was told to keep."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash ends it."""
        self._end(signal.SIGKILL)

    def restart(self, *, lose_data: bool = False) -> None:
        """SIGKILL and a new start, empty unless it was told to save, and without what it saved where ``lose_data`` is set."""
        self.kill()
        if lose_data:
            for path in [*self.folder.glob("*.rdb"), *self.folder.glob("appendonly*")]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.start()

    def pause(self) -> None:
        """It hangs: its sockets stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def cli(self, *command: str) -> str:
        """What ``redis-cli`` prints for a command, nothing where the server does not answer."""
        return cli(self.port, *command)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(STARTS_WITHIN_S)


class Sentinel(RedisServer):
    """A Sentinel that watches the master ``main``."""

    def __init__(self, master_port: int, *, quorum: int, down_after_ms: int = 500) -> None:
        super().__init__()
        self._monitor = (
            f"sentinel monitor main 127.0.0.1 {master_port} {quorum}\n"
            f"sentinel down-after-milliseconds main {down_after_ms}\n"
            f"sentinel failover-timeout main {4 * down_after_ms}\n"
        )

    def _arguments(self) -> list[str]:
        configuration = self.folder / "sentinel.conf"
        if not configuration.exists():
            configuration.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n{self._monitor}")
        return [str(configuration), "--sentinel"]


class SentinelSet:
    """A master, a replica and three Sentinels that know each other. ``url`` asks them for the master ``main``."""

    def __init__(self) -> None:
        self.master: RedisServer
        self.replica: RedisServer
        self.sentinels: list[Sentinel] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.master = stack.enter_context(RedisServer())
            self.replica = stack.enter_context(RedisServer("--replicaof", "127.0.0.1", str(self.master.port)))
            self.sentinels = [stack.enter_context(Sentinel(self.master.port, quorum=2)) for _ in range(3)]
            wait_until(self._is_whole, STARTS_WITHIN_S)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/main"

    def master_port(self) -> int:
        """Where the Sentinels say that the master is."""
        return int(self.sentinels[0].cli("sentinel", "get-master-addr-by-name", "main").split()[1])

    def _is_whole(self) -> bool:
        return "master_link_status:up" in self.replica.cli("info", "replication") and all(
            "slaves=1,sentinels=3" in sentinel.cli("info", "sentinel") for sentinel in self.sentinels
        )


class RedisCluster:
    """Three masters that share all slots."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.servers: list[RedisServer] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", *self._options)
            self.servers = [stack.enter_context(RedisServer(*options)) for _ in range(3)]
            hosts = [f"127.0.0.1:{server.port}" for server in self.servers]
            subprocess.run(["redis-cli", "--cluster", "create", *hosts, "--cluster-yes"], check=True, capture_output=True)
            wait_until(
                lambda: all("cluster_state:ok" in server.cli("cluster", "info") for server in self.servers), STARTS_WITHIN_S
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def flush(self) -> None:
        for server in self.servers:
            server.cli("flushall")


def cli(port: int, *command: str) -> str:
    """What ``redis-cli`` prints for a command, nothing where nobody answers within two seconds."""
    try:
        done = subprocess.run(["redis-cli", "-p", str(port), *command], capture_output=True, text=True, check=False, timeout=2)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout if done.returncode == 0 else ""


def wait_until(reached: Callable[[], bool], within_s: float, explain: Callable[[], str] = str) -> None:
    """For a process that cannot tell us; looks again and again."""
    until = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < until, explain()
        time.sleep(LOOK_EVERY_S)


def die_with_parent() -> None:
    """For ``preexec_fn``: the process is killed when ours ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
