"""Our own code gets no real time, chance and identity while virtual time runs; others do."""

import asyncio
import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from vuemantics_ws.ambient import SystemClock, host_name, new_secret, new_upload_id, process_id, system_random
from vuemantics_ws.simulation.clock.guard import guard
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.refusing import NotVirtual
from vuemantics_ws.simulation.clock.running import run_virtually


def guarded(call: Callable[[], Any]) -> Any:
    async def program(loop: VirtualLoop) -> Any:
        return call()

    return run_virtually(program)


def as_ours(expression: str) -> Callable[[], Any]:
    """A function that stands in a module of ours."""
    names: dict[str, Any] = {"__name__": "vuemantics_ws.made_up"}
    exec(f"import os, random, secrets, socket, time, uuid\ndef call(): return {expression}", names)
    return names["call"]  # type: ignore[no-any-return]


READINGS = [
    *("time.time()", "time.time_ns()", "time.monotonic()", "time.monotonic_ns()"),
    *("time.perf_counter()", "time.perf_counter_ns()", "time.process_time()"),
]
DRAWS = [
    *("random.random()", "random.randint(1, 6)", "random.choice('ab')", "random.shuffle([1])", "random.seed(1)"),
    *("secrets.token_bytes()", "secrets.token_hex(4)", "secrets.token_urlsafe()", "secrets.randbits(8)"),
    *("secrets.choice('ab')", "secrets.randbelow(3)", "os.urandom(4)", "uuid.uuid1()", "uuid.uuid4()"),
]

IDENTITIES = ["os.getpid()", "socket.gethostname()"]


@pytest.mark.parametrize("expression", [*READINGS, *DRAWS, *IDENTITIES])
def test_ours_may_not(expression: str) -> None:
    with pytest.raises(NotVirtual) as refused:
        guarded(as_ours(expression))

    what = "real time" if expression in READINGS else "real identity" if expression in IDENTITIES else "real chance"
    name = expression.partition("(")[0]
    assert str(refused.value).startswith(f"virtual time has no {what} ({name} in vuemantics_ws.made_up): take a ")


@pytest.mark.parametrize("expression", [*READINGS, *DRAWS, *IDENTITIES, "time.sleep(0)"])
def test_all_is_as_before_afterwards(expression: str) -> None:
    call = as_ours(expression)

    guarded(int)

    call()


@pytest.mark.parametrize(
    "call",
    [
        *(SystemClock().wall, SystemClock().monotonic, system_random, new_upload_id, new_secret),
        *(process_id, host_name),
    ],
)
def test_the_place_where_the_machine_comes_in_is_closed_too(call: Callable[[], object]) -> None:
    with pytest.raises(NotVirtual, match=r"in vuemantics_ws\.ambient"):
        guarded(call)


def test_others_read_the_machines_clock() -> None:
    before = time.monotonic()

    assert guarded(lambda: time.monotonic()) >= before


@pytest.mark.parametrize(
    "draw",
    [
        lambda: random.random(),
        lambda: random.sample(range(1000), 5),
        lambda: os.urandom(8),
        lambda: secrets.token_bytes(8),
        lambda: secrets.token_bytes(),
        lambda: secrets.token_hex(8),
        lambda: secrets.randbelow(10**9),
        lambda: secrets.randbits(64),
        lambda: secrets.choice(range(10**9)),
        lambda: uuid.uuid4(),
    ],
)
def test_the_luck_of_others_comes_from_the_seed(draw: Callable[[], Any]) -> None:
    async def program(loop: VirtualLoop) -> Any:
        return draw()

    first, again, other = (run_virtually(program, seed=seed) for seed in (1, 1, 2))

    assert first == again != other


def test_the_luck_of_others_goes_on_afterwards_as_if_nothing_had_been() -> None:
    random.seed(7)
    expected = [random.random() for _ in range(3)]
    random.seed(7)

    drawn = [random.random()]
    guarded(lambda: random.random())
    drawn += [random.random() for _ in range(2)]

    assert drawn == expected


def test_nobody_sleeps() -> None:
    with pytest.raises(NotVirtual, match="time to sleep"):
        guarded(lambda: time.sleep(0))


def test_other_threads_live_on() -> None:
    got: list[object] = []

    def live() -> None:
        time.sleep(0.001)
        got.extend([as_ours("time.time()")(), as_ours("os.urandom(4)")()])

    def run() -> None:
        thread = threading.Thread(target=live)
        thread.start()
        thread.join()

    guarded(run)

    assert len(got) == 2


def test_the_websockets_library_makes_its_keys_and_masks() -> None:
    def connect() -> bytes:
        protocol = ClientProtocol(parse_uri("ws://node/"))
        return protocol.connect().serialize()

    assert guarded(connect) == guarded(connect)


def test_what_failed_inside_leaves_nothing_replaced() -> None:
    originals = time.time, random.random, os.urandom, uuid.uuid4

    with pytest.raises(LookupError), guard(random.Random(1)):
        raise LookupError

    assert (time.time, random.random, os.urandom, uuid.uuid4) == originals


def test_a_clock_of_the_loop_is_what_ours_takes() -> None:
    async def program(loop: VirtualLoop) -> float:
        await asyncio.sleep(3)
        return loop.time()

    assert run_virtually(program) == 3
