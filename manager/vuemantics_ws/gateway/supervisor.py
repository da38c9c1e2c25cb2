"""Several nodes on one public port of one machine, each a process of its own, and one control port for all of them.

Every worker listens for itself, and Linux spreads connections over those that do. What one knows the others hear from Redis.
"""

import asyncio
import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable
from typing import Any

from vuemantics_ws.ambient import SystemClock, host_name, process_id
from vuemantics_ws.client.relay import Relay
from vuemantics_ws.gateway.addresses import url_of
from vuemantics_ws.gateway.crew import Crew
from vuemantics_ws.gateway.development import SECRET_VARIABLE, development_secret
from vuemantics_ws.gateway.handshake import PATHS
from vuemantics_ws.gateway.listening import listen, reserve
from vuemantics_ws.gateway.run import ControlPort, Ready, loop_factory, signals
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.gateway.supervisor_control import create_supervisor_application
from vuemantics_ws.gateway.worker import UNFIT

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 5.0
"""One that hangs keeps whoever asks for no longer; then another is asked."""

NAME_CHARACTERS_MAX = 56
"""A node's name has at most 64, with the number of a worker."""


def supervise(settings: Settings, *, workers: int, ready: Callable[[Ready], None]) -> int:
    """Run so many workers until SIGINT, SIGTERM or SIGHUP, then have all of them drain. A second signal ends them at once.

    ``ready`` is called once all of them listen. A worker that ends meanwhile is started again. Must run in the main thread.

    Returns:
        The exit code: 0 after an orderly stop, a worker's own where it ends before it has ever been ready.

    Raises:
        EnvironmentUnfit: a port cannot be had.
    """
    if sys.platform != "linux":
        logger.warning("this system gives every new connection to the same worker: only Linux spreads them")
    with asyncio.Runner(loop_factory=loop_factory(settings.uvloop)) as runner:
        return runner.run(_serve(settings, workers, ready))


async def _serve(settings: Settings, count: int, ready: Callable[[Ready], None]) -> int:
    stop, at_once = asyncio.Event(), asyncio.Event()
    with (
        signals(stop, at_once),
        contextlib.closing(reserve(settings.host, settings.port, "--port")) as public,
        contextlib.closing(listen(settings.control_host, settings.control_port, "--control-port")) as control_socket,
    ):
        host, port = public.getsockname()[:2]
        crew = _crew(settings, count, port)
        code = await _start(crew, stop)
        if code is not None:
            await crew.stop(at_once)
            return code
        clock = SystemClock()
        began = clock.monotonic()
        where = url_of("http", *control_socket.getsockname()[:2])

        def describe() -> dict[str, Any]:
            uptime_s = round(clock.monotonic() - began, 3)
            return {"name": crew.name, "state": crew.state, "control": where, "pid": process_id(), "uptime_s": uptime_s}

        with Relay(timeout_s=ANSWER_TIMEOUT_S) as relay:
            control = ControlPort(create_supervisor_application(crew, relay, settings, describe))
            serving = asyncio.ensure_future(control.serve(sockets=[control_socket]))
            await asyncio.wait((serving, asyncio.ensure_future(control.up.wait())), return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                ready(Ready(url_of("ws", host, port, PATHS[0]), where, process_id(), tuple(crew.pids)))
                await stop.wait()
            await crew.stop(at_once)
            control.should_exit = True
            control.force_exit = at_once.is_set()
            await serving
    return 0


def _crew(settings: Settings, count: int, port: int) -> Crew:
    """Workers that share what the supervisor has chosen once."""
    name = settings.node_name or f"{host_name()}:{port}"[:NAME_CHARACTERS_MAX]
    handed = {SECRET_VARIABLE: development_secret()} if settings.development else {}
    return Crew(dataclasses.replace(settings, port=port, control_port=0, node_name=name), count, handed)


async def _start(crew: Crew, stop: asyncio.Event) -> int | None:
    """None once all workers listen, or the exit code where they never will: 0 where they were told to stop before that."""
    starting, stopping = asyncio.ensure_future(crew.start()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        return 0
    code = starting.result()
    return UNFIT if code is not None and code <= 0 else code
