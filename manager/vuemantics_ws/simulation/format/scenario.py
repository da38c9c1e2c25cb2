"""What a scenario file says of the world: who is there, what happens, and what must come of it.

The models mirror the file key by key. What the models cannot see, names that point elsewhere
in the file, is checked by :mod:`vuemantics_ws.simulation.format.references`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vuemantics_ws.simulation.format.amounts import Duration, Model, SeedRange, refuse, show
from vuemantics_ws.simulation.format.clients import (
    Client,
    Join,
    Leave,
    RampPoint,
    Reading,
    Reconnect,
    Step,
    Token,
    TokenKind,
)
from vuemantics_ws.simulation.format.expected import Expectation
from vuemantics_ws.simulation.format.faults import Fault
from vuemantics_ws.simulation.format.naming import COUNT_MAX, Count, Name
from vuemantics_ws.simulation.format.networks import NetworkProfile, Outage
from vuemantics_ws.simulation.format.uploads import (
    Arrive,
    Ending,
    EndingShare,
    Messiness,
    Outcome,
    PipelineStep,
    ProgressPipeline,
    Regenerate,
    Upload,
)

__all__ = [
    "COUNT_MAX",
    "Arrive",
    "Client",
    "Ending",
    "EndingShare",
    "Join",
    "Leave",
    "Messiness",
    "NetworkProfile",
    "Outage",
    "Outcome",
    "PipelineStep",
    "ProgressPipeline",
    "RampPoint",
    "Reading",
    "Reconnect",
    "Regenerate",
    "Scenario",
    "Server",
    "Step",
    "Token",
    "TokenKind",
    "Upload",
    "User",
]

NODES_MAX = 64


def _read_url(scheme: str) -> BeforeValidator:
    def read(value: Any) -> Any:
        if isinstance(value, str) and not value.startswith((f"{scheme}://", f"{scheme}s://")):
            refuse(f"expected a URL that begins with {scheme}:// or {scheme}s://, got {show(value)}")
        return value

    return BeforeValidator(read)


def _read_version(value: Any) -> Any:
    return refuse("expected 1, got true") if value is True else value  # which are equal in Python


class Server(Model):
    """The nodes under test."""

    nodes: Annotated[int, Field(ge=1, le=NODES_MAX)] = 1
    """How many there are. Several are one system around a Redis of the run's own."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Settings of the gateway by their names."""
    url: Annotated[str, Field(pattern="^wss?://"), _read_url("ws")] | None = None
    """Where a server that runs already is reached, in place of one that is started."""
    control: Annotated[str, Field(pattern="^https?://"), _read_url("http")] | None = None
    """Where its control port is reached."""


class User(Model):
    """Somebody; with a count a fleet of somebodies."""

    count: Count | None = None
    """Makes a fleet of so many, called NAME:0, NAME:1 and so on."""


class Scenario(Model):
    """A whole file: who is there, what happens, and what must come of it."""

    version: Annotated[Literal[1], BeforeValidator(_read_version)]
    """The version of the format."""
    name: Name
    """What the scenario is called; the same as the file."""
    description: Annotated[str, Field(min_length=1, max_length=1_000)]
    """What it shows, in a sentence."""
    seed: Annotated[int, Field(ge=0, le=10**18)] = 1
    """The luck of a single run. The same seed makes the same plan."""
    sweep: SeedRange | None = None
    """The seeds that a sweep plays, such as 1..500. A single run plays seed alone."""
    duration: Duration
    """The hard stop, at which everybody leaves. A scenario in which nothing is left to happen ends before it. A run then goes
    on until the server has forgotten them.
    """
    server: Server = Server()
    """The nodes under test and their settings."""
    network: dict[Name, NetworkProfile] = Field(default_factory=dict)
    """Networks of the file's own, by name, for clients beside lan, wifi and mobile."""
    users: Annotated[dict[Name, User], Field(min_length=1)]
    """Who there is, by name."""
    uploads: list[Upload] = Field(default_factory=list)
    """What is uploaded, and what its workers publish."""
    clients: Annotated[list[Client], Field(min_length=1)]
    """The browser tabs that watch."""
    faults: list[Fault] = Field(default_factory=list)
    """What goes wrong around the server."""
    expect: list[Expectation] = Field(default_factory=list)
    """What must come of it, beside the laws of delivery, which always hold."""
