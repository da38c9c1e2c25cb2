"""What a connection was asked to hear, in the order in which its server will confirm it."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TypeVar

from vuemantics_ws.brokers.redis.link import pack
from vuemantics_ws.brokers.redis.slots import slot
from vuemantics_ws.brokers.redis.wanted import SHARDED, Kind, Wanted

T = TypeVar("T")

BATCH_MAX = 500
"""Channels in one command."""


class Command:
    """One command under way: so many names, so many confirmations, or one error. ``wanted`` is None where it gives up."""

    __slots__ = ("asked_at", "confirmation", "confirmed", "names", "wanted")

    def __init__(self, verb: bytes, names: list[bytes], wanted: Sequence[Wanted] | None, asked_at: float) -> None:
        self.confirmation = verb.lower()
        self.names = names
        self.wanted = wanted
        self.asked_at = asked_at
        self.confirmed = 0


class Asked:
    """The commands that one connection has not confirmed, oldest first."""

    def __init__(self) -> None:
        self._commands: deque[Command] = deque()

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def oldest_at(self) -> float | None:
        return self._commands[0].asked_at if self._commands else None

    @property
    def newest(self) -> Command | None:
        return self._commands[-1] if self._commands else None

    def subscribe(self, kind: Kind, wanted: list[Wanted], now: float) -> bytes:
        """What to send. Each batch is one command, and of one slot where channels are sharded."""
        commands = []
        for batch in _batches(kind, [(each.name, each) for each in wanted]):
            names = [name for name, _ in batch]
            self._commands.append(Command(kind.subscribe, names, [each for _, each in batch], now))
            commands.append(pack(kind.subscribe, *names))
        return b"".join(commands)

    def unsubscribe(self, kind: Kind, names: list[bytes], now: float) -> bytes:
        """What to send."""
        commands = []
        for batch in _batches(kind, [(name, None) for name in names]):
            names = [name for name, _ in batch]
            self._commands.append(Command(kind.unsubscribe, names, None, now))
            commands.append(pack(kind.unsubscribe, *names))
        return b"".join(commands)

    def expects(self, confirmation: bytes, name: bytes) -> bool:
        """Whether this is what comes next."""
        if not self._commands:
            return False
        command = self._commands[0]
        return command.confirmation == confirmation and command.names[command.confirmed] == name

    def confirm(self) -> tuple[Wanted | None, Command | None]:
        """What is confirmed, None where it was given up; and the command, if it has no more to confirm."""
        command = self._commands[0]
        wanted = None if command.wanted is None else command.wanted[command.confirmed]
        command.confirmed += 1
        if command.confirmed < len(command.names):
            return wanted, None
        return wanted, self._commands.popleft()

    def refused(self, slot_of_error: int | None) -> Command | None:
        """The command that an error answers. None where it is of another slot: what it answers was settled by Redis itself."""
        if not self._commands or (slot_of_error is not None and slot(self._commands[0].names[0]) != slot_of_error):
            return None
        return self._commands.popleft()


def _batches(kind: Kind, named: list[tuple[bytes, T]]) -> Iterator[list[tuple[bytes, T]]]:
    groups: dict[int, list[tuple[bytes, T]]] = {}
    for each in named:
        groups.setdefault(slot(each[0]) if kind is SHARDED else 0, []).append(each)
    for group in groups.values():
        for start in range(0, len(group), BATCH_MAX):
            yield group[start : start + BATCH_MAX]
