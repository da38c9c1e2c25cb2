"""Where Redis is: one URL for a server, for Sentinels or for a Redis Cluster."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from vuemantics_ws.errors import BadSetting

Kind = Literal["server", "sentinel", "cluster"]

SETTING = "redis"
PORT = 6379
SENTINEL_PORT = 26379

_KINDS: dict[str, Kind] = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}
_FORMS = (
    "redis://host:6379, rediss:// for TLS, unix:///path for a socket file, redis+sentinel://host,host/master "
    "or redis+cluster://host,host; in user and password, write anything but letters and digits as %XX"
)


class Endpoint(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One URL, read.

    ``redis://[user:password@]host[:port][/database]``, ``rediss://`` for TLS, ``unix://[user:password@]/path?db=N`` for a
    socket file; ``redis+sentinel://host[:port][,host[:port]…]/master[/database]`` asks Sentinels where the master is;
    ``redis+cluster://host[:port][,host[:port]…]`` enters a Redis Cluster; ``rediss+…`` is either with TLS. User and password
    are those of the servers; Sentinels are asked without. With TLS the server's certificate is verified: against the machine's
    authorities, or those of ``?ca=FILE``; only ``?verify=none`` turns it off.
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
    ca: str | None = None
    """A file of certificates of authorities, None for those of the machine."""
    verify: bool = True
    """Whether the server's certificate must be good. Means nothing without TLS."""

    @classmethod
    def read(cls, url: str) -> "RedisAddress":
        """Raises:
        BadSetting: it is no such URL; the message quotes no password.
        """
        scheme, separator, rest = url.strip().partition("://")
        family, _, kind = scheme.lower().partition("+")
        rest, _, query_text = rest.partition("?")
        credentials, _, location = rest.rpartition("@")
        hosts, slash, path = location.partition("/")
        if not separator or (family not in ("redis", "rediss") and scheme.lower() != "unix") or kind not in _KINDS:
            raise _bad("expected a URL of Redis", hint=f"one of {_FORMS}")
        if "#" in rest:
            raise _bad("expected no # in a URL of Redis", hint="in a password, write # as %23")
        username, password = _credentials(credentials)
        query = _query(query_text, {"db"} if family == "unix" else {"ca", "verify"} if family == "rediss" else set())
        if family == "unix":
            if hosts or not path:
                raise _bad("expected the path of a socket file", hint="unix:///run/redis/redis.sock")
            file = "/" + unquote(path)
            return cls("server", (), False, username, password, _database(query.get("db", "")), file)
        if query.get("verify", "none") != "none":
            raise _bad(f"expected verify=none, not verify={query['verify']}", hint="without it certificates are verified")
        names = [unquote(name) for name in path.split("/")] if slash else []
        master = names.pop(0) if _KINDS[kind] == "sentinel" and names else None
        if _KINDS[kind] == "sentinel" and not master:
            raise _bad("expected what Sentinels call the master", hint="redis+sentinel://host:26379,host:26379/mymaster")
        if len(names) > 1:
            raise _bad("expected a database behind the host, and nothing behind that", hint="redis://host:6379/0")
        database = _database(names[0] if names else "")
        if _KINDS[kind] == "cluster" and database:
            raise _bad(f"expected database 0, not {database}: a Redis Cluster has no other", hint="use a prefix instead")
        endpoints = _endpoints(hosts, SENTINEL_PORT if _KINDS[kind] == "sentinel" else PORT)
        if _KINDS[kind] == "server" and len(endpoints) > 1:
            raise _bad(
                f"expected one host, not {len(endpoints)}", hint="for several: redis+sentinel://…/master or redis+cluster://…"
            )
        ca, verify = query.get("ca"), "verify" not in query
        return cls(
            _KINDS[kind], endpoints, family == "rediss", username, password, database, master=master, ca=ca, verify=verify
        )

    @property
    def place(self) -> str:
        """Where it is, in a sentence: ``redis at 127.0.0.1:6379``."""
        where = self.path or ", ".join(map(str, self.endpoints))
        if self.kind == "sentinel":
            return f"redis master {self.master} of the Sentinels at {where}"
        return f"redis cluster at {where}" if self.kind == "cluster" else f"redis at {where}"

    def __str__(self) -> str:
        """The URL without user and password, for people."""
        if self.path is not None:
            return f"unix://{quote(self.path)}" + (f"?db={self.database}" if self.database else "")
        family = "rediss" if self.tls else "redis"
        scheme = family if self.kind == "server" else f"{family}+{self.kind}"
        master = f"/{quote(self.master, safe='')}" if self.master else ""
        database = f"/{self.database}" if self.database else ""
        settings = [f"ca={quote(self.ca)}"] if self.ca else []
        settings += [] if self.verify else ["verify=none"]
        query = "?" + "&".join(settings) if settings else ""
        return f"{scheme}://{','.join(map(str, self.endpoints))}{master}{database}{query}"


def _bad(message: str, *, hint: str) -> BadSetting:
    return BadSetting(message, setting=SETTING, hint=hint)


def _credentials(text: str) -> tuple[str | None, str | None]:
    if "/" in text or "@" in text:
        raise _bad("expected no / and no @ in user or password", hint="write / as %2F and @ as %40")
    username, _, password = text.partition(":")
    return unquote(username) or None, unquote(password) or None


def _query(text: str, allowed: set[str]) -> dict[str, str]:
    """What stands behind the question mark. A password with one in it ends here, so nothing of it is quoted."""
    if "@" in text:
        raise _bad("expected no ? in user or password", hint="write ? as %3F")
    try:
        query = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
    except ValueError:
        query = {"": ""}
    if not set(query) <= allowed:
        known = " or ".join(f"{key}=" for key in sorted(allowed)) or "nothing"
        hints = "db= goes with unix://, ca= and verify= with rediss://"
        raise _bad(f"expected {known} behind the question mark of a URL of Redis", hint=hints)
    return query


def _database(text: str) -> int:
    if text == "":
        return 0
    if not text.isascii() or not text.isdigit():
        raise _bad(f"expected a database's number, not {text!r}", hint="redis://host:6379/0")
    return int(text)


def _endpoints(hosts: str, default_port: int) -> tuple[Endpoint, ...]:
    return tuple(_endpoint(host, default_port) for host in hosts.split(","))


def _endpoint(text: str, default_port: int) -> Endpoint:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        port, is_wrong = rest[1:], not closed or rest[:1] not in ("", ":") or rest == ":"
    else:
        host, colon, port = text.partition(":")
        is_wrong = ":" in port or (colon == ":" and not port)
    host = unquote(host)
    if is_wrong or not host or any(character.isspace() for character in host):
        raise _bad("expected host or host:port", hint="an IPv6 address stands in brackets: redis://[::1]:6379")
    if not port:
        return Endpoint(host, default_port)
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise _bad("expected a port from 1 to 65535 behind the host", hint=f"one of {_FORMS}")
    return Endpoint(host, int(port))
