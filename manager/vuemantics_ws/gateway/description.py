"""What a node is and how it does, in its own words: for whoever watches it, and for the other nodes."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from vuemantics_ws.ambient import host_name
from vuemantics_ws.gateway.inspection import Inspected
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.gateway.warnings import LAG_SAMPLES


class Described(Inspected, Protocol):
    """What of a node is told."""

    @property
    def settings(self) -> Settings: ...
    @property
    def pid(self) -> int: ...
    @property
    def url(self) -> str: ...
    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def control_url(self) -> str | None: ...
    @property
    def uptime_s(self) -> float: ...


def name_of(node: Described) -> str:
    """What people call it: what it was told, else where it is, or that it is the one node that there is."""
    if node.settings.node_name is not None:
        return node.settings.node_name
    return "node:0" if node.broker.nodes is None else f"{host_name()}:{node.address[1]}"


def describe(node: Described) -> dict[str, Any]:
    """Who it is, as ``node`` in a frame."""
    return {
        **_identity(node),
        "uptime_s": node.uptime_s,
        "access": node.settings.resolved_access,
        "development": node.settings.development,
    }


def report(node: Described) -> dict[str, Any]:
    """How it does, as one of ``nodes`` in a frame. Costs next to nothing: the tables are only measured."""
    tables, samples, health = node.manager.registry, node.pulse.samples[-LAG_SAMPLES:], node.broker.health
    return {
        "id": node.broker.nodes.node_id if node.broker.nodes is not None else node.name,
        **_identity(node),
        "started_at": round(node.clock.wall() - node.uptime_s, 3),
        "uptime_s": node.uptime_s,
        "connections": len(node.connections),
        "users": len(tables.users),
        "uploads": len(tables.uploads),
        "events_per_s": round(samples[-1].events_per_s, 2) if samples else 0.0,
        "lag_s": round(max(health.lag_s or 0.0, *(sample.loop_lag_s for sample in samples), 0.0), 4),
        "broker_ready": health.ready,
        "adopts": health.adopts,
        "seen_s": 0.0,
    }


def _identity(node: Described) -> dict[str, Any]:
    return {
        "name": node.name,
        "state": node.state,
        "version": _version(),
        "url": node.url,
        "control": node.control_url,
        "pid": node.pid,
    }


@cache
def _version() -> str:
    try:
        return version("vuemantics-ws")
    except PackageNotFoundError:
        return "0+unknown"
