"""What the options of ``simulate`` ask for."""

import os
import shlex
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from vuemantics_ws.client.locations import CONTROL_URL, PUBLIC_URL
from vuemantics_ws.errors import BadSetting
from vuemantics_ws.quantities import parse_duration
from vuemantics_ws.simulation.format.amounts import DURATION_MAX
from vuemantics_ws.simulation.format.bundled import bundled_names, resolve_scenario
from vuemantics_ws.simulation.format.reader import load_scenario
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.planning.visitors import USER, plan_visitors
from vuemantics_ws.simulation.site import Target, refuse_unplayable, target_of
from vuemantics_ws_cli.simulating.playing import Play

FOR_GOOD_S = 86_400.0
"""How long visitors stay whom nobody tells when to go."""


class Server(NamedTuple):
    """A server that runs already, as far as options name it."""

    url: str | None = None
    control: str | None = None
    secret: str | None = None

    @property
    def options(self) -> list[str]:
        """The same again, but for the secret."""
        given = {"--url": self.url, "--control": self.control}
        return [word for option, value in given.items() if value is not None for word in (option, value)]


def read_scenarios(scenarios: Sequence[str], seed: int | None, server: Server) -> list[Play]:
    """Each scenario's plan. All are read before the first is played.

    Raises:
        BadScenario: one of them is wrong; all that is wrong with it is told.
        BadSetting: there is none, or the server's address cannot be.
    """
    refuse_nothing(scenarios)
    if server.control is not None and server.url is None:
        raise BadSetting("--control: expected --url, too", setting="--control", hint="both are of the same server")
    target = _target(server.url, server) if server.url is not None else None
    plays = []
    for scenario in scenarios:
        read = load_scenario(resolve_scenario(scenario), file=scenario)
        plan = make_plan(read, read.seed if seed is None else seed)
        replay = ["vuemantics-ws", "simulate", scenario, "--seed", str(plan.seed), *server.options]
        where = target or target_of(plan, server.secret)
        refuse_unplayable(plan, where)
        plays.append(Play(plan, shlex.join(replay), where))
    return plays


def refuse_nothing(scenarios: Sequence[str]) -> None:
    """Raises:
    BadSetting: nothing is to be played.
    """
    if not scenarios:
        hint = f"a file, or one of: {', '.join(bundled_names())}"
        raise BadSetting("SCENARIO: expected one at least", setting="SCENARIO", hint=hint)


def read_visitors(
    scenarios: Sequence[str],
    clients: int | None,
    upload_ids: Sequence[str],
    user: str | None,
    duration_s: float | None,
    seed: int | None,
    server: Server,
) -> Play:
    """Clients without a scenario.

    Raises:
        BadSetting: something is missing, or a scenario is given, too.
    """
    if scenarios:
        raise BadSetting(
            "SCENARIO: expected a scenario, or --clients and --follow, got both",
            setting="SCENARIO",
            hint="a scenario says itself who comes, who follows what, and for how long",
        )
    if clients is None:
        raise BadSetting("--clients: expected how many there are", setting="--clients")
    if not upload_ids:
        raise BadSetting("--follow: expected an upload at least", setting="--follow", hint="--follow may be given again")
    for upload_id in upload_ids:
        _check_uuid(upload_id)
    if duration_s is not None and not 0 < duration_s <= parse_duration(DURATION_MAX):
        raise BadSetting(f"--duration: expected more than 0s, and at most {DURATION_MAX}", setting="--duration")
    plan = plan_visitors(
        clients,
        upload_ids,
        duration_s=duration_s or FOR_GOOD_S,
        seed=seed or 1,
        user=user or USER,
        users=clients if user is None else None,
    )
    replay = ["vuemantics-ws", "simulate", "--clients", str(clients)]
    replay += [word for upload_id in upload_ids for word in ("--follow", upload_id)]
    replay += ["--user", user] if user is not None else []
    replay += ["--duration", f"{duration_s:g}s"] if duration_s is not None else []
    named = Server(
        server.url or os.environ.get("VUEMANTICS_WS_URL") or PUBLIC_URL,
        server.control or os.environ.get("VUEMANTICS_WS_CONTROL") or (CONTROL_URL if server.url is None else None),
        server.secret,
    )
    assert named.url is not None
    return Play(plan, shlex.join([*replay, *server.options]), _target(named.url, named), others_publish=True)


def _check_uuid(upload_id: str) -> None:
    try:
        is_one = str(uuid.UUID(upload_id)) == upload_id.lower()  # as it is on the wire, and not in another way to write it
    except ValueError:
        is_one = False
    if not is_one:
        raise BadSetting(
            f"--follow: expected a UUID, got {upload_id[:60]!r}",
            setting="--follow",
            hint="these clients do as the application's browsers do, and those drop what is about anything else",
        )


def _target(url: str, server: Server) -> Target:
    try:
        return Target.at(url, server.control, server.secret)
    except BadSetting as error:
        raise BadSetting(f"--{error.message}", setting=f"--{error.setting}", hint=error.hint) from None
