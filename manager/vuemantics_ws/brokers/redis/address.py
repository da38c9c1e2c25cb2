"""Where Redis is: one URL for a server, for Sentinels or for a Redis Cluster."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["server", "sentinel", "cluster"]


class Endpoint(NamedTuple):
    """A host and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One URL, read.

    ``redis://[user:password@]host[:port][/database]``, ``rediss://`` for TLS, ``unix:///path?db=N`` for a socket file;
    ``redis+sentinel://host[:port][,host[:port]…]/master[/database]`` asks Sentinels where the master is;
    ``redis+cluster://host[:port][,host[:port]…]`` enters a Redis Cluster; ``rediss+…`` is either with TLS.
    """

    kind: Kind
    endpoints: tuple[Endpoint, ...]
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    path: str | None = None
    """Of a socket file."""
    master: str | None = None
    """What Sentinels call it."""

    @classmethod
    def read(cls, url: str) -> "RedisAddress":
        """Raises:
        BadSetting: it is no such URL; the message quotes no password.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        """The URL without user and password, for people."""
        raise NotImplementedError
