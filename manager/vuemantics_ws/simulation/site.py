"""Where a plan is played: a node of the run's own, or a server that runs already."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vuemantics_ws.ambient import Clock, new_secret
from vuemantics_ws.client.control import Control
from vuemantics_ws.client.locations import CONTROL_URL, check_url, is_local
from vuemantics_ws.errors import BadScenario, BadSetting, VuemanticsError
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.browser.tokens import LASTS_S, NEEDS_THE_SECRET, Mint, Signature
from vuemantics_ws.simulation.dice import upload_id_of
from vuemantics_ws.simulation.format.faults import OF_CLIENTS, REDIS, VIRTUAL_ALONE
from vuemantics_ws.simulation.format.scenario import Step
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient

GRACE_S = 5.0
"""How long a node of ours keeps the follows of those who are gone, where the file does not say: long enough for the first try
to come back, and short enough to be waited for, since the last law is judged when it is over.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that runs already. Where it is in development mode, it makes the tokens itself, and no ``secret`` is needed."""

    url: str
    control: str
    secret: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, url: str, control: str | None = None, secret: str | None = None) -> "Target":
        """Raises:
        BadSetting: an address is none, or nothing says where the control port of a server elsewhere is.
        """
        parts = check_url(url, setting="url", schemes=("ws", "wss"))
        if control is None:
            if not is_local(parts):
                raise BadSetting(
                    "control: expected the control port's URL beside that of a server on another machine",
                    setting="control",
                    hint="events are published there, and its tables are read: open a tunnel to it, and give --control",
                )
            control = CONTROL_URL
        check_url(control, setting="control", schemes=("http", "https"))
        return cls(url, control, secret)


class Rules(NamedTuple):
    """What a judge must know of a server's settings. ``grace_s`` is None where it is not known."""

    access: str
    grace_s: float | None
    uploads_per_user_max: int
    waiting_bytes_max: int
    stall_after_s: float

    @classmethod
    def of(cls, limits: Limits, access: str) -> "Rules":
        handed_over = limits.write_bytes_max + getattr(limits, "write_buffer_bytes_max", 0)
        waiting = limits.reply_bytes_max + limits.direct_bytes_max + handed_over
        stall_after_s = getattr(limits, "stall_after_s", 0.0)
        return cls(access, limits.grace_s, limits.uploads_per_user_max, waiting, stall_after_s)


def target_of(plan: Plan, secret: str | None = None) -> Target | None:
    """The running server that a file names, if it does.

    Raises:
        BadSetting: its address cannot be.
    """
    server = plan.scenario.server
    return None if server.url is None else Target.at(server.url, server.control, secret)


def refuse_unplayable(plan: Plan, target: Target | None) -> None:
    """Real time can do less than virtual time, and nothing can befall what is not ours but on the way to it.

    Raises:
        BadScenario: a fault that cannot be made to happen in the real arm, or not here.
    """
    problems = []
    for index, fault in enumerate(plan.scenario.faults):
        if fault.do in VIRTUAL_ALONE:
            problems.append(f"faults[{index}]: {fault.do} is for virtual time alone: expected --virtual, too")
        elif target is not None and (fault.do not in OF_CLIENTS or REDIS in (fault.between or ())):
            rather = "only connections.kill, network.change and a partition from clients can befall a server that runs already"
            problems.append(f"faults[{index}]: {fault.do} befalls processes that are not ours: {rather}")
    if problems:
        raise BadScenario([f"{plan.scenario.name}: {problem}" for problem in problems])


def settings_of(plan: Plan, *, secret: str | None = None) -> Settings:
    """How a node of ours is set up: with a secret of its own, on ports of its own, and with the file's settings.

    Args:
        secret: the one that it has; a new one by default.
    """
    outages = [client.network.outage.for_s.high for client in plan.clients if client.network and client.network.outage]
    outages += [fault.lasts_s or 0.0 for fault in plan.faults if fault.do.startswith("node.") or fault.clients]
    config = {
        "access": "owner",
        "log_level": "warning",
        "grace": f"{GRACE_S + 2 * max(outages, default=0.0):.3f}s",
        "secret": new_secret() if secret is None else secret,
        **plan.scenario.server.config,
        "port": 0,
        "control_port": 0,
    }
    return Settings.from_mapping(config)


def signature_of(settings: Settings) -> Signature:
    """How a node with these settings wants its tokens."""
    assert settings.secret is not None
    return Signature(settings.secret, settings.jwt_algorithm, settings.jwt_audience, settings.jwt_issuer)


def with_fresh_ids(plan: Plan, clock: Clock) -> Plan:
    """The plan with upload ids that nobody has used, since a server that ran before may know those of an earlier run."""
    run = round(clock.wall() * 1000)
    fresh = {
        upload.upload_id: upload_id_of(plan.seed, f"{upload.name}/{run}") if upload.events else upload.upload_id
        for upload in plan.uploads
    }
    return plan._replace(
        uploads=tuple(upload._replace(upload_id=fresh[upload.upload_id]) for upload in plan.uploads),
        clients=tuple(
            client._replace(script=tuple(_renamed(step, fresh) for step in client.script)) if client.script else client
            for client in plan.clients
        ),
    )


def _renamed(step: Step, fresh: Mapping[str, str]) -> Step:
    named = (step.send or {}).get("upload_id")
    if step.send is None or not isinstance(named, str):
        return step
    return Step(send={**step.send, "upload_id": fresh.get(named, named)})


Show = Callable[[], str | None]
"""What a client shows, each time anew."""


class Tokens:
    """Hands each client its tokens."""

    def __init__(self, mint: Mint, ready: Mapping[str, str] | None = None) -> None:
        self._mint = mint
        self._ready = ready
        """By user, where somebody else makes the good ones."""

    def of(self, client: PlannedClient) -> Show:
        if self._ready is not None and client.token.kind == "valid":
            token = self._ready[client.user]
            return lambda: token
        return lambda: self._mint.make(client.token, client.user)


def tokens_for(settings: Settings, clock: Clock) -> Tokens:
    """Tokens for nodes of ours with these settings."""
    return Tokens(Mint(signature_of(settings), clock))


async def tokens_at(target: Target, control: Control, plan: Plan, clock: Clock) -> Tokens:
    """Tokens for a server that runs already: of our making where we have its secret, else of its own.

    Raises:
        BadSetting: a client shows what only the secret makes.
        Refused: the server makes no tokens for us.
    """
    if target.secret is not None:
        config = plan.scenario.server.config
        algorithm = str(config.get("jwt_algorithm", "HS256"))
        signature = Signature(target.secret, algorithm, config.get("jwt_audience"), config.get("jwt_issuer"))
        return Tokens(Mint(signature, clock))
    for client in plan.clients:
        if client.token.kind in NEEDS_THE_SECRET or client.token.ttl is not None:
            kind = "that ends" if client.token.ttl is not None else f"of the kind {client.token.kind}"
            raise BadSetting(
                f"secret: expected it, since {client.name} shows a token {kind}, and only the secret makes such a token",
                setting="secret",
                hint="start the server with a secret, and give the same one here",
            )
    users = dict.fromkeys(client.user for client in plan.clients if client.token.kind == "valid")
    made = {user: (await control.token(user, ttl_s=LASTS_S)).token for user in users}
    return Tokens(Mint(Signature(new_secret()), clock), made)


async def rules_at(target: Target, control: Control, plan: Plan) -> Rules:
    """What a running server says of its settings. Where it does not say it, the file's word counts, then the defaults.

    The access rule that nobody names is taken to be ``open`` where the server makes tokens for everybody, else ``owner``. A
    grace time that the server does not tell is not guessed.
    """
    said = await _glance(control)
    node, limits = said.get("node"), said.get("limits")
    access = node.get("access") if isinstance(node, dict) else None
    if access not in ("open", "owner"):
        access = plan.scenario.server.config.get("access", "open" if target.secret is None else "owner")
    numbers = limits if isinstance(limits, dict) else {}
    names = ("grace_s", "uploads_per_user_max", "reply_bytes_max", "direct_bytes_max")
    known: dict[str, Any] = {name: numbers[name] for name in names if isinstance(numbers.get(name), int | float)}
    rules = Rules.of(Limits(**known), str(access))._replace(stall_after_s=settings_of(plan).stall_after_s)
    return rules if "grace_s" in known else rules._replace(grace_s=None)


async def _glance(control: Control) -> dict[str, Any]:
    """What the control port tells of its node; nothing where it is of a version that tells nothing."""
    try:
        async with aclosing(control.frames(["uploads"], limit=1)) as frames:
            async for frame in frames:
                return frame
    except VuemanticsError:
        pass
    return {}
