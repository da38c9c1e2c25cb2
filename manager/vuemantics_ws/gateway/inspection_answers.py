"""What the control port says of the live tables, and how it is asked, as models."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.gateway.answers import Counters, Tables
from vuemantics_ws.gateway.warnings import URGENCY
from vuemantics_ws.quantities import parse_duration

EVERY_S_LEAST, EVERY_S_MAX = 0.25, 60.0
OFFSET_MAX = 10**9

Scope = Literal["node", "cluster"]
ViewName = Literal["uploads", "connections", "followers", "follows", "nodes"]

_UPLOAD = "7b6dfa0e-6f3f-4a83-9d3c-0c7a3a4f9f11"
_PERCENT = Field(description="How far it is; null where nobody has said.", examples=[20])
_STATE = Field(description="`unpublished`, `running`, `completed` or `failed`.", examples=["running"])


def _check_every(text: str) -> str:
    try:
        every_s = parse_duration(text)
    except BadQuantity:
        every_s = 0.0
    if not EVERY_S_LEAST <= every_s <= EVERY_S_MAX:
        raise ValueError("expected a duration from 250ms to 60s")
    return text


class PageOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    filter: str = Field("", description="Such as `user=alice and pending > 64k`; empty lets everything pass.", examples=[""])
    sort: str = Field("", description="Field names parted by commas, `-` before those that fall.", examples=["-pending,user"])
    limit: int = Field(50, ge=1, le=500, description="At most so many rows.")
    offset: int = Field(0, ge=0, le=OFFSET_MAX, description="So many rows are passed over.")
    scope: Scope | None = Field(
        None, description="`node` is this node alone, `cluster` all that there are, which is the default.", examples=["cluster"]
    )


class WatchOptions(PageOptions):
    view: list[ViewName] = Field(min_length=1, max_length=5, description="What to look at; may be repeated.")
    every: Annotated[str, AfterValidator(_check_every)] = Field(
        "1s", description="How often, from `250ms` to `60s`.", examples=["1s"]
    )


class KickUserOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    for_good: bool = Field(False, description="Whether the browser stays away until its page is opened again.")


class KickOptions(KickUserOptions):
    node: str | None = Field(
        None,
        max_length=128,
        description="The node whose connection it is, by its name or id; this one by default.",
        examples=[None],
    )


class _Answer(BaseModel):
    """May grow; who reads it passes over what is new."""

    model_config = ConfigDict(extra="allow")


class ConnectionRow(_Answer):
    """An open socket of the public port."""

    connection: int = Field(description="Its number: they count from 1.", examples=[12])
    user: str | None = Field(description="Null until it has shown who it is.", examples=["alice"])
    state: str = Field(
        description="`handshake`, `authenticating`, `open`, `slow` (its buffer is full), `stalled` (and it has taken nothing "
        "for 5 s) or `closing`.",
        examples=["open"],
    )
    address: str = Field(description="The client's; empty where there is none.", examples=["127.0.0.1"])
    age_s: float = Field(examples=[61.5])
    sent: int = Field(description="Frames that were handed to its socket.", examples=[120])
    sent_bytes: int = Field(examples=[34_000])
    conflated: int = Field(description="Frames that a newer one replaced before they left.", examples=[7])
    pending_bytes: int = Field(description="What waits for it.", examples=[0])
    behind_s: float = Field(description="For how long it has been owed a newer state; 0 where it is up to date.", examples=[0])
    silent_s: float = Field(description="Since its last sign of life.", examples=[3.2])
    uploads: int = Field(description="How many it receives.", examples=[3])
    node: str = Field(description="The node that has it.", examples=["node:0"])


class _SharedRow(_Answer):
    """What may be on several nodes. Where it is, what counts is a sum."""

    nodes: list[str] = Field(description="The nodes that have it.", examples=[["node:0"]])
    at_most: bool = Field(
        False, description="Whether somebody, or something, that is on two nodes may have been counted twice.", examples=[False]
    )


class UploadRow(_SharedRow):
    """An upload that somebody follows, or of which this process keeps the newest state."""

    upload: str = Field(examples=[_UPLOAD])
    state: str = _STATE
    stage: str | None = Field(description="What the worker is doing; null where there is nothing to do.", examples=["queued"])
    percent: int | None = _PERCENT
    attempt: int | None = Field(examples=[1])
    seq: int | None = Field(examples=[2])
    owner: str | None = Field(examples=["alice"])
    followers: int = Field(description="Users.", examples=[1])
    connections: int = Field(description="Open ones that receive it.", examples=[2])
    rate_per_s: float = Field(description="Accepted events a second, over the last seconds.", examples=[0.4])
    age_s: float | None = Field(description="Since the newest accepted event.", examples=[1.25])
    accepted: int = Field(description="Events, since this process has known the upload.", examples=[2])
    duplicate: int = Field(examples=[0])
    stale: int = Field(examples=[0])
    after_terminal: int = Field(examples=[0])
    refused: int = Field(description="Stale ones and those after the end.", examples=[0])


class FollowersRow(_SharedRow):
    """An upload that somebody follows, with who does."""

    upload: str = Field(examples=[_UPLOAD])
    state: str = _STATE
    percent: int | None = _PERCENT
    followers: int = Field(description="Users.", examples=[1])
    connections: int = Field(description="Open ones that receive it.", examples=[2])
    users: list[str] = Field(description="The first 20, oldest follow first.", examples=[["alice"]])


class Follow(_Answer):
    upload: str = Field(examples=[_UPLOAD])
    state: str = _STATE
    percent: int | None = _PERCENT
    held_by: list[int | str] = Field(description="The user's connections that receive it.", examples=[[12, 13]])


class FollowsRow(_SharedRow):
    """A user, with what it follows."""

    user: str = Field(examples=["alice"])
    connections: list[int | str] = Field(
        description="All of its open ones, oldest first; of several nodes as `NODE/12`.", examples=[[12, 13]]
    )
    uploads: int = Field(description="How many it follows.", examples=[1])
    follows: list[Follow] = Field(
        description="The first 20, newest follow first.",
        examples=[[{"upload": _UPLOAD, "state": "running", "percent": 20, "held_by": [12, 13]}]],
    )
    leaves_in_s: float | None = Field(
        description="Of a user without a connection: when what it follows is forgotten.", examples=[None]
    )


class _Page(_Answer):
    view: ViewName = Field(examples=["uploads"])
    filter: str = Field(examples=[""])
    sort: str = Field(description="Empty for the default order.", examples=[""])
    offset: int = Field(examples=[0])
    matched: int = Field(description="How many rows the filter lets through.", examples=[12])
    total: int = Field(description="How many there are.", examples=[40])
    at_most: bool = Field(description="Whether `matched` and `total` count twice what is on two nodes.", examples=[False])
    nodes: list[str] = Field(description="Whose rows these are.", examples=[["node:0"]])
    missing: list[str] = Field(description="Nodes that did not answer in time.", examples=[[]])


class ConnectionsPage(_Page):
    rows: list[ConnectionRow] = Field(examples=[[]])


class UploadsPage(_Page):
    rows: list[UploadRow] = Field(examples=[[]])


class FollowersPage(_Page):
    rows: list[FollowersRow] = Field(examples=[[]])


class FollowsPage(_Page):
    rows: list[FollowsRow] = Field(examples=[[]])


class NodeDescription(_Answer):
    name: str = Field(examples=["node:0"])
    state: str = Field(examples=["ready"])
    version: str = Field(examples=["0.1.0"])
    url: str = Field(description="Where browsers connect.", examples=["ws://127.0.0.1:8765/ws/uploads"])
    control: str | None = Field(description="Null where it is not known.", examples=["http://127.0.0.1:8766"])
    pid: int = Field(examples=[4711])
    uptime_s: float = Field(examples=[3_600.5])
    access: str = Field(description="`open` or `owner`.", examples=["open"])
    development: bool = Field(description="Whether tokens are given away.", examples=[True])


class BrokerDescription(_Answer):
    """How what lies between the nodes is."""

    name: str = Field(description="`memory`, `redis` or `redis-cluster`.", examples=["redis"])
    ready: bool = Field(examples=[True])
    reason: str | None = Field(description="Why it is not.", examples=[None])
    hint: str | None = Field(None, description="What cures it, where that is known.", examples=[None])
    since_s: float = Field(description="For how long it has been so.", examples=[3_600.5])
    lag_ms: float | None = Field(description="How long what it told was under way; null where nobody measures.", examples=[0.4])
    gaps: int = Field(description="How often something may have been missed, and was made good.", examples=[0])
    adopts: bool | None = Field(
        description="Whether this node hears plain publishers; null where there are none.", examples=[True]
    )


class NodeRow(_Answer):
    """One of the nodes, as it said itself at last."""

    id: str = Field(description="Another one at each start.", examples=["5f1dc0de"])
    name: str = Field(examples=["web-1:8765"])
    state: str = Field(description="As of the node, or `silent`: it is present, and did not answer.", examples=["ready"])
    version: str = Field(examples=["0.1.0"])
    url: str = Field(examples=["ws://127.0.0.1:8765/ws/uploads"])
    control: str | None = Field(examples=["http://127.0.0.1:8766"])
    pid: int = Field(examples=[4711])
    started_at: float = Field(description="In seconds since 1970-01-01 UTC.", examples=[1_738_324_800.25])
    uptime_s: float = Field(examples=[3_600.5])
    connections: int = Field(examples=[12])
    users: int = Field(examples=[10])
    uploads: int = Field(description="That somebody follows there.", examples=[31])
    events_per_s: float = Field(examples=[5.0])
    lag_s: float = Field(
        description="The longer of how late its loop was lately and how long what its broker told was under way.",
        examples=[0.001],
    )
    broker_ready: bool = Field(examples=[True])
    adopts: bool | None = Field(examples=[True])
    seen_s: float = Field(description="For how long ago this was said.", examples=[0])


class PresentNode(NodeRow):
    this: bool = Field(description="Whether it is the one that answers.", examples=[True])


class NodesPage(_Page):
    rows: list[PresentNode] = Field(examples=[[]])


class Warning(_Answer):  # noqa: A001
    code: str = Field(
        description=f"One of {', '.join(f'`{code}`' for code in URGENCY)}.",
        examples=["stalled_reader"],
    )
    message: str = Field(examples=["connection 12 of alice has taken nothing for 12 s"])
    count: int = Field(description="How many of the kind this one stands for.", examples=[1])


class Rates(_Answer):
    """One number for each of the last seconds, at most sixty, oldest first."""

    events_per_s: list[float] = Field(examples=[[5.0]])
    deliveries_per_s: list[float] = Field(examples=[[20.0]])
    connects_per_s: list[float] = Field(examples=[[0.0]])
    closes_per_s: list[float] = Field(examples=[[0.0]])
    refused_per_s: list[float] = Field(description="Stale events and those after the end.", examples=[[0.0]])
    loop_lag_s: list[float] = Field(description="The most by which the loop was late in that second.", examples=[[0.001]])


class WatchFrame(_Answer):
    """One line of a watch: the node, or all of them, at a glance, with a page of every view that was asked for."""

    at: float = Field(description="In seconds since 1970-01-01 UTC.", examples=[1_738_324_800.25])
    node: NodeDescription
    broker: BrokerDescription
    nodes: list[NodeRow] = Field(description="Those that are looked at.", examples=[[]])
    missing: list[str] = Field(description="Of them those that did not answer in time.", examples=[[]])
    tables: Tables
    limits: dict[str, float] = Field(examples=[{"connections_max": 19_000, "unauthenticated_max": 256, "heads_max": 20_000}])
    counters: Counters
    rates: Rates
    warnings: list[Warning] = Field(description="At most 8, most urgent first.", examples=[[]])
    views: list[ConnectionsPage | UploadsPage | FollowersPage | FollowsPage | NodesPage] = Field(examples=[[]])


class Kicked(_Answer):
    kicked: int = Field(description="How many connections were closed.", examples=[1])
    missing: list[str] = Field([], description="Nodes that did not say whether they did it.", examples=[[]])


PAGES: dict[str, type[Any]] = {
    "connections": ConnectionsPage, "uploads": UploadsPage, "followers": FollowersPage, "follows": FollowsPage,
    "nodes": NodesPage,
}  # fmt: skip
"""By the view that they are of."""
