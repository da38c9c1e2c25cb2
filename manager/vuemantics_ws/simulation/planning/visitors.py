"""Clients without a scenario file: they visit a server that runs already, and follow uploads that somebody else publishes."""

from collections.abc import Sequence

from vuemantics_ws.simulation.format.scenario import NetworkProfile, Reconnect, Scenario
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient, PlannedSubscribe, PlannedUpload

NAME = "visitors"
USER = "visitor"
JOINS_PER_S = 50.0
"""How fast they come: not all at once, which would measure nothing but the crowd."""


def plan_visitors(
    clients: int,
    upload_ids: Sequence[str],
    *,
    duration_s: float,
    seed: int = 1,
    user: str = USER,
    users: int | None = None,
    network: NetworkProfile | None = None,
) -> Plan:
    """A plan in which so many tabs follow these uploads for so long. Play it with ``others_publish``.

    Of the uploads nothing is known, so nothing is expected of them: what the laws say of what came holds all the same.

    Args:
        upload_ids: as they are on the wire.
        user: whose tabs they are; where the access rule is ``owner``, the uploads' owner.
        users: share the tabs out among so many of them instead, named ``user:0`` and so on.
    """
    names = [user] if users is None else [f"{user}:{index}" for index in range(users)]
    uploads = tuple(
        PlannedUpload(upload_id, NAME, upload_id, names[0], versioned=True, events=(), start_s=0.0)
        for upload_id in dict.fromkeys(upload_ids)
    )
    return Plan(
        _scenario(duration_s, seed),
        seed,
        tuple(names),
        uploads,
        tuple(_visitor(index, names[index % len(names)], uploads, network) for index in range(clients)),
    )


def _visitor(index: int, user: str, uploads: Sequence[PlannedUpload], network: NetworkProfile | None) -> PlannedClient:
    join_s = index / JOINS_PER_S
    return PlannedClient(
        name=f"{NAME}:{index}",
        entry=NAME,
        user=user,
        join_s=join_s,
        subscribes=tuple(PlannedSubscribe(join_s, upload.name) for upload in uploads),
        leave_s=None,
        leave_how="close",
        reconnect=Reconnect(),
        network=network,
        number=index,
    )


def _scenario(duration_s: float, seed: int) -> Scenario:
    """The frame that a plan has, with a client that is never asked for: the plan says who comes."""
    return Scenario.model_validate(
        {
            "version": 1,
            "name": NAME,
            "description": "Clients that follow uploads on a server that runs already.",
            "seed": seed,
            "duration": f"{duration_s:.3f}s",
            "users": {USER: {}},
            "clients": [{"id": NAME, "user": USER}],
        }
    )
