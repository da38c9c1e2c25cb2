"""What is wrong with Redis, in words for an operator. No argument of a command is ever quoted."""

import socket
import ssl
from collections.abc import Iterator

from redis import exceptions

from vuemantics_ws.errors import BrokerAway

_MORE_MEMORY = "give it more (maxmemory), and let it evict nothing: what is kept there is no cache"

# What Redis itself says first, or somewhere within what an old one says of a script. The first that is found counts.
_SAID: tuple[tuple[str, str, str | None], ...] = (
    ("WRONGPASS", "takes neither this user nor this password", "give both in the URL: redis://user:password@host:6379"),
    ("invalid username-password pair", "takes neither this user nor this password", "give both in the URL: redis://user:password@host"),
    ("invalid password", "does not take this password", "give it in the URL: redis://:password@host:6379"),
    ("Client sent AUTH, but no password is set", "has no password, but got one", "leave it out of the URL"),
    ("without any password configured", "has no password, but got one", "leave it out of the URL"),
    ("NOAUTH", "wants a password", "give it in the URL: redis://:password@host:6379"),
    ("Authentication required", "wants a password", "give it in the URL: redis://:password@host:6379"),
    ("unauthenticated", "wants a password", "give it in the URL: redis://:password@host:6379"),  # of a command with many words
    ("OOM", "is out of memory (maxmemory)", _MORE_MEMORY),
    ("command not allowed when used memory", "is out of memory (maxmemory)", _MORE_MEMORY),
    ("LOADING", "is loading its data", None),
    ("loading the dataset", "is loading its data", None),
    ("Link with MASTER is down", "is a replica that has lost its master", None),
    ("MASTERDOWN", "is a replica that has lost its master", None),
    ("read only replica", "is a replica that takes no writes", "name the master, or let Sentinels say which it is"),
    ("READONLY", "is a replica that takes no writes", "name the master, or let Sentinels say which it is"),
    ("previous master is now a slave", "is a replica that takes no writes", None),
    ("CLUSTERDOWN", "is a cluster of which a part is down", None),
    ("Hash slot not served", "is a cluster of which a part is down", None),
    ("MISCONF", "cannot save to its disk, and takes no writes until it can", None),
    ("NOREPLICAS", "has too few replicas to take a write", None),
    ("BUSY", "is busy with a script", None),
    ("max number of clients reached", "has no connection free (maxclients)", None),
    ("DB index is out of range", "has no such database", "redis.conf says how many: databases 16"),
    ("cluster support disabled", "is no Redis Cluster", "write redis:// for a single server"),
    ("Cluster mode is not enabled", "is no Redis Cluster", "write redis:// for a single server"),
    ("unknown command 'SENTINEL'", "are no Sentinels", "write redis:// for a single server; Sentinels listen on 26379"),
    ("unknown command `SENTINEL`", "are no Sentinels", "write redis:// for a single server; Sentinels listen on 26379"),
    ("MOVED", "is part of a Redis Cluster", "write redis+cluster:// for it"),
    ("No master found", "is not known to its Sentinels, or is down", "redis-cli -p 26379 sentinel masters"),
)  # fmt: skip

_NOT_PERMITTED = ("NOPERM", "no permissions", "The user executing the script can't")

PERMISSION_HINT = (
    "ACL SETUSER name on >password ~prefix* &prefix* &upload:* -@all +evalsha +eval +script|load +time +set +hset +hget +hmget "
    "+hgetall +hdel +zadd +zrem +zcard +zcount +zrange +zremrangebyrank +expire +del +exists +publish +spublish +subscribe "
    "+unsubscribe +ssubscribe +sunsubscribe +psubscribe +punsubscribe +ping +client|setname +role +cluster|slots"
)

_CURES: dict[str, str] = {sentence: hint for _, sentence, hint in _SAID if hint is not None} | {
    "refuses our user or password": "give both in the URL: redis://user:password@host:6379",
    "does not let our user do what is needed": PERMISSION_HINT,
    "does not permit this user": PERMISSION_HINT,
    "is no Sentinel": "write redis:// for a single server; Sentinels listen on 26379",
    "over TLS": "a port without TLS is silent: write redis:// for it",
}


def cure_of(complaint: str) -> str | None:
    """What an operator can do about a sentence of ours about Redis, None where it says all there is."""
    return next((hint for sentence, hint in _CURES.items() if sentence in complaint), None)


def explain(error: BaseException, place: str, timeout_s: float, *, tls: bool) -> BrokerAway:
    """One sentence that says what is wrong there, with a hint where there is a cure."""
    text = " ".join(str(link) for link in _chain(error))
    if isinstance(error, exceptions.NoPermissionError) or any(said in text for said in _NOT_PERMITTED):
        return BrokerAway(f"{place} does not permit this user {_refused(text)}", hint=PERMISSION_HINT)
    for said, sentence, hint in _SAID:
        if said in text:
            return BrokerAway(f"{place} {sentence}", hint=hint)
    for link in _chain(error):
        if (found := _explain_link(link, place)) is not None:
            return found
    if isinstance(error, exceptions.BusyLoadingError):
        return BrokerAway(f"{place} is loading its data")
    if isinstance(error, (TimeoutError, exceptions.TimeoutError)):
        silence = f"{place} does not answer within {timeout_s:g} s{' over TLS' if tls else ''}"
        return BrokerAway(silence, hint=cure_of(silence))
    if isinstance(error, exceptions.ResponseError):
        return BrokerAway(f"{place} refused a command of ours", hint="version 6.2 or later is needed, 7.0 for a Redis Cluster")
    return BrokerAway(f"{place} cannot be reached")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _explain_link(error: BaseException, place: str) -> BrokerAway | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "?ca=FILE in the URL names the certificates that it is verified with"
        return BrokerAway(f"{place} has a certificate that cannot be verified: {error.verify_message}", hint=hint)
    if isinstance(error, ssl.SSLError):
        return BrokerAway(f"{place} does not speak TLS with us", hint="redis:// is without TLS, rediss:// is with it")
    if isinstance(error, socket.gaierror):
        return BrokerAway(f"{place} is not found: its name does not resolve")
    if isinstance(error, ConnectionRefusedError):
        return BrokerAway(f"{place} does not answer: nobody listens there")
    if isinstance(error, FileNotFoundError):
        return BrokerAway(f"{place} is not there: a file that the URL names is missing")
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return BrokerAway(f"{place} closed the connection")
    return None


def _refused(text: str) -> str:
    """What a user may not do, as far as Redis says. Which key is not said: keys hold ids."""
    if "channel" in text:
        return "our channels"
    if "the keys" in text or "keys used" in text:
        return "our keys"
    _, quote, rest = text.partition("the '")
    command = rest.partition("'")[0]
    return f"the command {command}" if quote and command else "what we ask of it"
