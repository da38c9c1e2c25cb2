"""A gateway as a process: its loop, its signals, its two ports (SEMANTICS.md section 7)."""

import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from vuemantics_ws.ambient import Clock, SystemClock, process_id, system_random
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.addresses import url_of
from vuemantics_ws.gateway.control import create_control_application
from vuemantics_ws.gateway.development import development_secret
from vuemantics_ws.gateway.listening import listen
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings

logger = logging.getLogger(__name__)

SPARE_FILES = 64
"""Files that a process needs beside its connections."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a gateway that is ready can be reached. ``workers`` are the processes that share its port, none where it is one."""

    url: str
    control: str
    pid: int
    workers: tuple[int, ...] = ()


def run(settings: Settings, *, ready: Callable[[Ready], None], shares_port: bool = False) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP, then drain. A second signal ends it at once.

    ``ready`` is called once both ports are open. Must run in the main thread, which gets the signals. Several processes may
    have the same public port, where each is told that it ``shares_port``.

    Returns:
        The exit code, 0 after an orderly stop.

    Raises:
        EnvironmentUnfit: a port cannot be had, or too few files.
    """
    settings = _fit_into_files(settings)
    with asyncio.Runner(loop_factory=loop_factory(settings.uvloop)) as runner:
        return runner.run(serve(settings, ready=ready, shares_port=shares_port))


async def serve(settings: Settings, *, ready: Callable[[Ready], None], shares_port: bool = False) -> int:
    """The same inside a loop that is running already."""
    stop, at_once = asyncio.Event(), asyncio.Event()
    clock = SystemClock()
    for warning in settings.warnings():
        logger.warning("%s", warning)
    secret = settings.secret if settings.secret is not None else development_secret()
    gateway = Gateway(settings, secret=secret, broker=make_broker(settings, clock), clock=clock, dice=system_random())
    with (
        signals(stop, at_once),
        contextlib.closing(listen(settings.control_host, settings.control_port, "--control-port")) as control_socket,
    ):
        gateway.control_url = url_of("http", *control_socket.getsockname()[:2])
        await gateway.start(shares_port=shares_port)
        control = ControlPort(create_control_application(gateway))
        serving = asyncio.ensure_future(control.serve(sockets=[control_socket]))
        await asyncio.wait([serving, asyncio.ensure_future(control.up.wait())], return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            ready(Ready(gateway.url, gateway.control_url, process_id()))
            await stop.wait()
            if gateway.connections:
                logger.info("saying goodbye to %d connections; a second signal ends it at once", len(gateway.connections))
        await gateway.stop(at_once=at_once)
        control.should_exit = True
        control.force_exit = at_once.is_set()
        await serving
    return 0


def make_broker(settings: Settings, clock: Clock) -> Broker:
    """What lies between publishers and this node: Redis where it was named, else the process itself."""
    if settings.redis is None:
        return MemoryBroker(clock=clock, limits=settings)
    from vuemantics_ws.brokers.redis.broker import RedisBroker

    return RedisBroker(
        settings.redis,
        prefix=settings.redis_prefix,
        plain_prefix=settings.plain_prefix,
        adopt=settings.adopt,
        clock=clock,
        limits=settings,
    )


class ControlPort(uvicorn.Server):
    """Uvicorn without its signals, which belong to the gateway: it would raise again what it caught."""

    def __init__(self, application: Any) -> None:
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            log_level="error",  # it would recommend what we have left out on purpose
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextlib.contextmanager
def signals(stop: asyncio.Event, at_once: asyncio.Event) -> Iterator[None]:
    """SIGINT, SIGTERM or SIGHUP sets ``stop``, and a second one ``at_once``."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            at_once.set()
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which nohup asks for
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # what is left takes a moment, and the default would kill it


def loop_factory(wanted: bool | None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed and not refused, None for asyncio's own."""
    if wanted is False:
        return None
    try:
        import uvloop
    except ImportError:
        if wanted:
            logger.warning("uvloop is not installed: running on asyncio's own loop")
        return None
    return uvloop.new_event_loop


def _fit_into_files(settings: Settings) -> Settings:
    """Raise the soft limit on open files as far as it goes, and take fewer connections where that is too little.

    A process that has used up its files lets nobody in, and asyncio logs every attempt.

    Raises:
        EnvironmentUnfit: there are not even enough for those who have not authenticated.
    """
    try:
        import resource
    except ImportError:
        return settings
    others = 2 * settings.unauthenticated_max + SPARE_FILES  # who must make room goes in its own time
    wanted = settings.connections_max + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed >= wanted:
        return settings
    if allowed <= others:
        hint = "raise the limit (ulimit -n), or lower --unauthenticated-max"
        raise EnvironmentUnfit(f"this process may open {allowed} files, and needs more than {others}", hint=hint)
    fitting = allowed - others
    logger.warning(
        "this process may open %d files, so connections-max is %d instead of %d: raise the limit (ulimit -n)",
        *(allowed, fitting, settings.connections_max),
    )
    return dataclasses.replace(settings, connections_max=fitting)
