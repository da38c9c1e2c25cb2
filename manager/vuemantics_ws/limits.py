"""A limit on everything, each declared once: its name, its default, its unit and what it is for.

The unit stands last in the name: ``_s`` are seconds, ``_bytes_max`` bytes, ``_max`` a count, ``_per_s`` a rate. From the same
declaration come the option of ``vuemantics-ws serve``, its environment variable, the key of a scenario file, and the table in
the documentation.
"""

from dataclasses import dataclass, field
from typing import Any

from vuemantics_ws.errors import BadSetting


def declare(default: Any, about: str, *, least: float | None = None, secret: bool = False) -> Any:
    """A field that explains itself. ``least`` is the smallest value allowed; a secret never shows in a repr."""
    return field(default=default, repr=not secret, metadata={"about": about, "least": least, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What protects everybody from anybody. All have defaults that suit production.

    Raises:
        BadSetting: a value is below its least.
    """

    handshake_timeout_s: float = declare(5.0, "how long a socket may take to send its HTTP request", least=0.01)
    auth_timeout_s: float = declare(5.0, "how long after the upgrade the auth message may take", least=0.01)
    close_timeout_s: float = declare(2.0, "how long a peer may take to answer a close", least=0.01)
    ping_interval_s: float = declare(30.0, "how often each client gets a ping", least=0.1)
    silence_timeout_s: float = declare(40.0, "after this long without a sign of life a client gets a last ping", least=0.1)
    silence_grace_s: float = declare(10.0, "how long a client may take to answer its last ping", least=0.1)
    stall_timeout_s: float = declare(30.0, "how long a client may take nothing while something waits for it", least=0.1)
    grace_s: float = declare(300.0, "how long a user's subscriptions outlive the last connection", least=0)

    connections_max: int = declare(19_000, "open connections of the process", least=1)
    connections_per_user_max: int = declare(32, "open connections of one user", least=1)
    unauthenticated_max: int = declare(256, "connections of the process that have not authenticated yet", least=1)
    unauthenticated_per_address_max: int = declare(20, "the same, of one address that is not loopback", least=1)
    uploads_per_user_max: int = declare(1_000, "uploads that one user follows", least=1)
    waiting_users_max: int = declare(1_024, "users with subscriptions made before their first connection", least=1)

    message_bytes_max: int = declare(16 * 1024, "one message of a client", least=1)
    message_before_auth_bytes_max: int = declare(8 * 1024, "one message of a client that has not authenticated", least=1)
    request_bytes_max: int = declare(32 * 1024, "the HTTP request of an upgrade", least=1024)
    fragments_max: int = declare(256, "fragments of one message, empty ones too", least=1)
    messages_burst_max: int = declare(1_200, "messages and control frames of a client at once", least=1)
    messages_per_s: float = declare(20.0, "messages and control frames of a client for longer", least=0.001)

    event_bytes_max: int = declare(64 * 1024, "one published event", least=256)
    write_bytes_max: int = declare(64 * 1024, "what is handed to a socket at once", least=1024)
    reply_bytes_max: int = declare(64 * 1024, "replies that wait for one client before its socket is read no further", least=1)
    direct_messages_max: int = declare(256, "messages to a user that wait for one connection", least=1)
    direct_bytes_max: int = declare(64 * 1024, "the same, in bytes", least=1)
    unbrokered_bytes_max: int = declare(
        1024 * 1024, "messages that wait for one connection of a manager without a broker", least=1
    )
    heads_max: int = declare(20_000, "newest states that the memory broker keeps of uploads nobody follows", least=1)
    head_ttl_s: float = declare(86_400.0, "how long the newest state of an upload is kept that nobody follows", least=1)

    def __post_init__(self) -> None:
        for name, declared in type(self).__dataclass_fields__.items():
            least = declared.metadata.get("least")
            value = getattr(self, name)
            if least is not None and not value >= least:
                raise BadSetting(f"expected at least {least:g}, got {value!r}", setting=name)
