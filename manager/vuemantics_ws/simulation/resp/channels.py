"""Who hears which channels."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vuemantics_ws.simulation.resp.connection import Connection
from vuemantics_ws.simulation.resp.replies import Several, encode

Listeners = dict[Connection, None]
"""In the order in which they came."""


class _Pattern(NamedTuple):
    matches: Callable[[bytes], object]
    listeners: Listeners


class Channels:
    """The subscriptions of all connections."""

    def __init__(self) -> None:
        self._channels: dict[bytes, Listeners] = {}
        self._patterns: dict[bytes, _Pattern] = {}

    def publish(self, channel: bytes, payload: bytes) -> int:
        """Returns how often it was told."""
        told = 0
        listeners = self._channels.get(channel)
        if listeners:
            message = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(payload), payload)
            for listener in listeners:
                listener.say(message)
            told = len(listeners)
        for name, pattern in self._patterns.items():
            if pattern.matches(channel):
                message = encode([b"pmessage", name, channel, payload])
                for listener in pattern.listeners:
                    listener.say(message)
                told += len(pattern.listeners)
        return told

    def subscribe(self, connection: Connection, names: Sequence[bytes]) -> Several:
        replies = Several()
        for name in names:
            connection.channels[name] = None
            self._channels.setdefault(name, {})[connection] = None
            replies.append([b"subscribe", name, connection.subscriptions])
        return replies

    def subscribe_patterns(self, connection: Connection, patterns: Sequence[bytes]) -> Several:
        replies = Several()
        for name in patterns:
            connection.patterns[name] = None
            if name not in self._patterns:
                self._patterns[name] = _Pattern(compiled(name).fullmatch, {})
            self._patterns[name].listeners[connection] = None
            replies.append([b"psubscribe", name, connection.subscriptions])
        return replies

    def unsubscribe(self, connection: Connection, names: Sequence[bytes]) -> Several:
        """From all where none is named, as the next one does."""
        replies = Several()
        for name in names or list(connection.channels):
            connection.channels.pop(name, None)
            listeners = self._channels.get(name)
            if listeners is not None:
                listeners.pop(connection, None)
                if not listeners:
                    del self._channels[name]
            replies.append([b"unsubscribe", name, connection.subscriptions])
        return replies or Several([[b"unsubscribe", None, connection.subscriptions]])

    def unsubscribe_patterns(self, connection: Connection, patterns: Sequence[bytes]) -> Several:
        replies = Several()
        for name in patterns or list(connection.patterns):
            connection.patterns.pop(name, None)
            pattern = self._patterns.get(name)
            if pattern is not None:
                pattern.listeners.pop(connection, None)
                if not pattern.listeners:
                    del self._patterns[name]
            replies.append([b"punsubscribe", name, connection.subscriptions])
        return replies or Several([[b"punsubscribe", None, connection.subscriptions]])

    def forget(self, connection: Connection) -> None:
        """It is no more."""
        self.unsubscribe(connection, ())
        self.unsubscribe_patterns(connection, ())


_WILD = re.compile(rb"\\(.)|(\*)|(\?)|\[(\^?)((?:\\.|[^\]])*)\]", re.DOTALL)


def compiled(pattern: bytes) -> re.Pattern[bytes]:
    """A pattern of Redis: ``*``, ``?``, ``[a-c]``, ``[^a]``, and a backslash before what means itself."""
    parts = []
    at = 0
    for wild in _WILD.finditer(pattern):
        parts.append(re.escape(pattern[at : wild.start()]))
        literal, star, question, negated, members = wild.groups()
        if literal is not None:
            parts.append(re.escape(literal))
        elif star:
            parts.append(b".*")
        elif question:
            parts.append(b".")
        else:
            parts.append(b"[%b%b]" % (negated, members))
        at = wild.end()
    parts.append(re.escape(pattern[at:]))
    return re.compile(b"".join(parts), re.DOTALL)
