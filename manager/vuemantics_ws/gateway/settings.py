"""Everything that a gateway can be told, declared once.

A setting has one name: its field's, less ``_s`` where that stands for seconds (a rate keeps its ``_per_s``), and in the
singular where it may be given several times. From the name follow the option (``auth_timeout_s`` → ``--auth-timeout``), the
environment variable (``VUEMANTICS_WS_AUTH_TIMEOUT``), the key in a scenario's ``server.config`` (``auth_timeout``), and the row
of the table in the documentation. Values that come as text are read by :mod:`vuemantics_ws.quantities`, wherever they come
from.

Nothing heavy is imported here, because the help of the command line is made of this module.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, Self

from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.errors import BadQuantity, BadSetting
from vuemantics_ws.gateway.addresses import Network, is_loopback
from vuemantics_ws.gateway.setting import VARIABLE_PREFIX, Setting, collect, name_of, table
from vuemantics_ws.limits import Limits, declare

OTHER_VARIABLES = {
    "VUEMANTICS_WS_URL": "where clients find the public port",
    "VUEMANTICS_WS_CONTROL": "where clients find the control port",
    "VUEMANTICS_WS_TOKEN": "the token of listen",
    "VUEMANTICS_WS_STATE_DIR": "the folder for the secret of development mode, instead of the user's own for state",
    "VUEMANTICS_WS_DEVELOPMENT_SECRET": "the secret of development mode, as serve hands it to its workers",
    "VUEMANTICS_WS_WORKERS": "how many processes serve runs",
    "VUEMANTICS_WS_DEBUG": "1 shows the traceback of a fault of ours",
}
"""Variables under the same prefix that are no settings of a gateway."""

_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_REDIS_PREFIX = re.compile(r"[A-Za-z0-9_.:/@-]{0,64}")
_NODE_NAME = re.compile(r"[A-Za-z0-9_.:/@-]{1,64}")
_OF_KUBERNETES = re.compile(r"VUEMANTICS_WS_(REDIS_)?(SERVICE|PORT)_|VUEMANTICS_WS_REDIS_PORT\Z")

Access = Literal["open", "owner"]
Algorithm = Literal["HS256", "HS384", "HS512"]
LogLevel = Literal["debug", "info", "warning", "error"]

_KEY_BYTES: dict[Algorithm, int] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518 section 3.2: a key is at least as long as the hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Limits):
    """What one gateway was told. What contradicts itself, or would be unsafe, cannot be made (SEMANTICS.md section 4).

    Raises:
        BadSetting: a value is out of its range, or two settings contradict each other; with a hint.
    """

    host: str = declare("127.0.0.1", "the address of the public port")
    port: int = declare(8765, "the public port; 0 takes any that is free", least=0)
    control_host: str = declare("127.0.0.1", "the address of the control port, for now on loopback")
    control_port: int = declare(8766, "the control port; 0 takes any that is free", least=0)
    uvloop: bool | None = declare(None, "whether to run on uvloop; auto: where it is installed")
    log_level: LogLevel = declare("info", "the least that is logged")  # noqa: RUF009

    secret: str | None = declare(None, "the key that signs tokens; none on loopback is development mode", secret=True)
    jwt_algorithm: Algorithm = declare("HS256", "the one algorithm that a token may be signed with")  # noqa: RUF009
    jwt_audience: str | None = declare(None, "the audience that a token must name")
    jwt_issuer: str | None = declare(None, "the issuer that a token must name")
    access: Access | None = declare(None, "who may follow an upload: open (everybody with a token) or owner")  # noqa: RUF009
    origins: tuple[str, ...] = declare((), "the origin of a page that may connect, scheme://host[:port]; may be repeated")
    trusted_proxies: tuple[Network, ...] = declare(
        (), "the address or network of a proxy whose X-Forwarded-For counts; may be repeated"
    )

    redis: str | None = declare(None, "the URL of Redis, around which many nodes are one system", secret=True)
    redis_prefix: str = declare("vuemantics-ws:", "what our keys and channels in Redis begin with")
    plain_prefix: str = declare("", "what stands before upload:<id>, the channel of publishers that speak to Redis alone")
    adopt: bool = declare(True, "whether this node hears those publishers; two nodes that do suffice")
    node_name: str | None = declare(None, "what people call this node; its host and port unless it is alone")

    stall_after_s: float = declare(
        0.0, "after how long without an event an upload that somebody follows is ended as failed; 0 for never", least=0
    )
    drain_s: float = declare(10.0, "over how long a stop spreads its goodbyes", least=0)
    write_buffer_bytes_max: int = declare(
        8 * 1024, "what one socket may buffer before frames wait and are conflated", least=1024
    )
    unsent_bytes_max: int = declare(16 * 1024, "what the kernel may hold unsent of one socket (TCP_NOTSENT_LOWAT)", least=1024)

    def __post_init__(self) -> None:
        try:
            Limits.__post_init__(self)  # a dataclass with slots is made anew, so super() would not find itself
        except BadSetting as error:
            raise BadSetting(error.message, setting=name_of(error.setting)) from None
        self._refuse_the_impossible()
        self._refuse_the_unsafe()

    def _refuse_the_impossible(self) -> None:
        for setting in SETTINGS.values():
            value = getattr(self, setting.field)
            if setting.choices and value != setting.default and value not in setting.choices:
                raise BadSetting(
                    f"expected {' or '.join(setting.choices)}, got {str(value)[:40]!r}",
                    setting=setting.name,
                    hint=f"{value} is known, but not built yet" if value in ("claims", "http") else None,
                )
        for name in ("port", "control_port"):
            if getattr(self, name) > 65_535:
                raise BadSetting(f"expected a port of at most 65535, got {getattr(self, name)}", setting=name)
        if self.port == self.control_port != 0 and self.host == self.control_host:
            raise BadSetting("expected another port than the public one", setting="control_port")
        for name in ("host", "control_host"):
            host = getattr(self, name)
            if not _HOST.fullmatch(host):
                raise BadSetting(
                    f"expected a name or an address without brackets, got {host[:60]!r}",
                    setting=name,
                    hint="0.0.0.0 or :: stands for every address of the machine",
                )

        if self.redis is not None:
            RedisAddress.read(self.redis)
        for name in ("redis_prefix", "plain_prefix"):
            if _REDIS_PREFIX.fullmatch(prefix := getattr(self, name)) is None:
                raise BadSetting(f"expected at most 64 letters, digits and any of _.:/@-, got {prefix[:60]!r}", setting=name)
        if self.node_name is not None and _NODE_NAME.fullmatch(self.node_name) is None:
            raise BadSetting(
                f"expected 1 to 64 letters, digits and any of _.:/@-, got {self.node_name[:60]!r}",
                setting="node_name",
            )

    def _refuse_the_unsafe(self) -> None:
        if not is_loopback(self.control_host):
            raise BadSetting(
                f"expected a loopback address, got {self.control_host!r}",
                setting="control_host",
                hint="whoever reaches the control port may publish: keep it on 127.0.0.1 and put a tunnel in front",
            )
        if self.secret == "":
            raise BadSetting("expected a secret that is not empty", setting="secret", hint="leave it out for development mode")
        if not is_loopback(self.host) and self.secret is None:
            raise BadSetting(
                f"expected a secret, since {self.host} can be reached from other machines",
                setting="secret",
                hint="give --secret (VUEMANTICS_WS_SECRET) and --access, or --host 127.0.0.1 for development mode",
            )
        if not self.development and self.access is None:
            raise BadSetting(
                "expected a rule that says who may follow what",
                setting="access",
                hint="--access owner gives each upload to its owner, --access open gives all to everybody with a token",
            )
        if self.development and self.trusted_proxies:
            raise BadSetting(
                "expected no trusted proxy in development mode, which refuses forwarded requests",
                setting="trusted_proxy",
                hint="behind a proxy a secret is needed: give --secret (VUEMANTICS_WS_SECRET) and --access",
            )

    @property
    def development(self) -> bool:
        """A loopback address and no secret: tokens are given to whoever asks on the control port."""
        return self.secret is None and is_loopback(self.host)

    @property
    def resolved_access(self) -> Access:
        """The rule that holds: in development mode ``open`` unless another was named."""
        return self.access or "open"

    @property
    def redis_place(self) -> str | None:
        """Where Redis is, without user and password."""
        return str(RedisAddress.read(self.redis)) if self.redis is not None else None

    def warnings(self) -> list[str]:
        """Sentences about what is allowed, but probably not meant."""
        found = []
        if self.secret is not None and len(self.secret.encode()) < _KEY_BYTES[self.jwt_algorithm]:
            found.append(
                f"the secret is shorter than the {_KEY_BYTES[self.jwt_algorithm]} bytes that {self.jwt_algorithm} asks for: "
                "it can be guessed"
            )
        if not self.development and not self.origins:
            found.append("no origin is allowed, so every browser is refused: name the page's with --origin")
        if any(network.prefixlen == 0 for network in self.trusted_proxies):
            found.append("every address is a trusted proxy: anybody can say that they are somebody else")
        return found

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read all variables that begin with ``VUEMANTICS_WS_``, and no others. Several values are parted by commas.

        Raises:
            BadSetting: one is unknown or cannot be; the message names it.
        """
        return cls.read(given_by(environment), spelled=lambda setting: setting.variable)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """Read a scenario's ``server.config``: quantities are text with their unit, the rest is as YAML has it.

        Raises:
            BadSetting: a key is unknown or its value cannot be; the message names it.
        """
        return cls.read(mapping)

    @classmethod
    def read(cls, given: Mapping[str, object], *, spelled: Callable[[Setting], str] = lambda setting: setting.name) -> Self:
        """Read values by the settings' names; ``spelled`` says what a setting is called where the values come from.

        Raises:
            BadSetting: a name is unknown or its value cannot be; the message names it as it was spelled.
        """
        values: dict[str, Any] = {}
        for name, value in given.items():
            setting = setting_named(name)
            try:
                values[setting.field] = setting.read(value)
            except (BadQuantity, BadSetting) as error:
                raise BadSetting(f"{spelled(setting)}: {error.message}", setting=name, hint=error.hint) from None
        try:
            return cls(**values)
        except BadSetting as error:
            where = spelled(setting_named(error.setting))
            raise BadSetting(f"{where}: {error.message}", setting=error.setting, hint=error.hint) from None

    def to_environment(self) -> dict[str, str]:
        """The variables that make the same settings in another process: those that differ from their default."""
        return {
            setting.variable: setting.write(getattr(self, setting.field))
            for setting in SETTINGS.values()
            if getattr(self, setting.field) != setting.default
        }


def setting_named(name: str) -> Setting:
    """What is known of a setting by its name in a scenario file.

    Raises:
        BadSetting: there is none; the hint has the nearest that there is.
    """
    if name in SETTINGS:
        return SETTINGS[name]
    raise BadSetting(f"{name[:40]}: there is no such setting", setting=name, hint=_nearest(name, SETTINGS))


def given_by(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings' values among the variables of a process, by their names.

    Raises:
        BadSetting: a variable with our prefix is none of ours, or comes from Kubernetes, which makes variables of services.
    """
    named = {setting.variable: name for name, setting in SETTINGS.items()}
    given = {}
    for variable, value in environment.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in OTHER_VARIABLES:
            continue
        if value.startswith("tcp://") or _OF_KUBERNETES.match(variable):
            service = "vuemantics-ws-redis" if "_REDIS" in variable else "vuemantics-ws"
            raise BadSetting(
                f"{variable}: expected a setting, and found what Kubernetes says of a service named {service}",
                setting=variable,
                hint="give the service another name, or set enableServiceLinks: false in the pod",
            )
        if variable not in named:
            nearest = _nearest(variable, [*named, *OTHER_VARIABLES])
            raise BadSetting(f"{variable}: there is no such variable", setting=variable, hint=nearest)
        given[named[variable]] = value
    return given


def _nearest(name: str, names: Iterable[str]) -> str | None:
    nearest = get_close_matches(name, list(names), n=1)
    return f"did you mean {nearest[0]}?" if nearest else None


_PANELS = {
    "Listening": ("host", "port", "control_host", "control_port", "uvloop", "log_level"),
    "Security": ("secret", "jwt_algorithm", "jwt_audience", "jwt_issuer", "access", "origins", "trusted_proxies"),
    "Redis": ("redis", "redis_prefix", "plain_prefix", "adopt", "node_name"),
    "Delivery": (
        *("grace_s", "stall_after_s", "drain_s", "ping_interval_s", "silence_timeout_s", "silence_grace_s", "stall_timeout_s"),
        *("write_bytes_max", "write_buffer_bytes_max", "unsent_bytes_max", "heads_max", "head_ttl_s"),
    ),
}
"""The headings of help, in their order. What stands under none of them is a limit."""


SETTINGS: dict[str, Setting] = collect(Settings, _PANELS, rest="Limits")
"""Every setting by its name, in the order in which help shows them."""


def settings_table() -> str:
    """Every setting as a table in Markdown."""
    return table(SETTINGS.values())
