"""Loss of data in a Redis that others use, too."""

from tests.redis_server import RedisServer


def empty(server: RedisServer, prefix: str) -> None:
    """What FLUSHALL does, for the keys of this prefix alone."""
    pattern = "".join("?" if character in "*?[]\\" else character for character in prefix)
    server.cli("del", "no such key", *server.cli("keys", f"{pattern}*").split())
