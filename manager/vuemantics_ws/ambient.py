"""What the machine supplies: time, chance and identity.

Everything that needs one of them takes it as an argument, so that a simulation can own all three. This module is the only
place that reads them from the machine; the linter refuses them everywhere else.
"""

import os
import random
import secrets
import socket
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings that differ in what may happen to them."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC. May jump when somebody sets the clock: for tokens and timestamps only."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never falling: for ages, deadlines and intervals."""
        ...


class SystemClock:
    """The machine's clock."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def timestamp(clock: Clock) -> datetime:
    """The wall clock's time as messages carry it: in UTC, to the millisecond."""
    return datetime.fromtimestamp(round(clock.wall(), 3), UTC)


def system_random() -> random.Random:
    """A generator with a seed of the machine's own. For jitter; never for secrets."""
    return random.Random(secrets.randbits(64))  # noqa: S311


def process_id() -> int:
    """That of this process."""
    return os.getpid()


def host_name() -> str:
    """What this machine calls itself."""
    return socket.gethostname()


def new_upload_id() -> str:
    """A fresh UUID, which is what the browser wants an upload id to be."""
    return str(uuid.uuid4())


def new_secret() -> str:
    """256 bits from the machine's source of secrets, in 64 hexadecimal digits."""
    return secrets.token_hex(32)
