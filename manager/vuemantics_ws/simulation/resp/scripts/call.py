"""What a script is run with."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vuemantics_ws.simulation.resp.keyspace import Keyspace


class Call(NamedTuple):
    """One run. ``publish`` takes a channel and a message, and returns how often that was told."""

    keyspace: Keyspace
    publish: Callable[[bytes, bytes], int]
    keys: Sequence[bytes]
    arguments: Sequence[bytes]
