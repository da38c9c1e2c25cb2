"""The control port's pages of the live tables, its watch, and what ends connections."""

from typing import Annotated, Any, Protocol

import msgspec
from fastapi import FastAPI, Path, Query, Request, Response
from starlette.requests import ClientDisconnect

from vuemantics_ws.gateway.answers import Problem, UserId, problem
from vuemantics_ws.gateway.inspection import WATCHES_MAX, Inspection, Question
from vuemantics_ws.gateway.inspection_answers import (
    PAGES,
    Kicked,
    KickOptions,
    KickUserOptions,
    PageOptions,
    WatchFrame,
    WatchOptions,
)
from vuemantics_ws.gateway.line_stream import LineStream
from vuemantics_ws.gateway.metrics import Measured, expose
from vuemantics_ws.gateway.neighbours import Neighbours
from vuemantics_ws.quantities import parse_duration

_SUMMARIES = {
    "connections": "Who is connected, and who does not keep up",
    "uploads": "Every upload that is followed or kept",
    "followers": "Who follows each upload",
    "follows": "What each user follows",
    "nodes": "Every node around the broker, and how it does",
}
_BAD_QUERY: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "The filter or the order cannot be read, or an option is out of its range."}
}


class InspectedNode(Measured, Protocol):
    """What of a node can be looked at, and ended."""

    @property
    def inspection(self) -> Inspection: ...
    @property
    def neighbours(self) -> Neighbours | None:
        """The other nodes, where there may be any."""
        ...

    def kick(self, number: int, *, for_good: bool) -> int:
        """Close the connection with this number. Returns how many there were."""
        ...

    def kick_user(self, user_id: str, *, for_good: bool) -> int:
        """Close every open connection of a user. Returns how many there were."""
        ...


def add_inspection(application: FastAPI, node: InspectedNode) -> None:
    for view in _SUMMARIES:
        _add_page(application, node, view)

    @application.get(
        "/watch",
        tags=["inspection"],
        summary="All nodes at a glance, again and again",
        response_model=WatchFrame,
        responses={503: {"model": Problem, "description": "There are as many watches as there may be."}, **_BAD_QUERY},
    )
    async def watch(options: Annotated[WatchOptions, Query()]) -> Response:
        """A frame at once, then one every so often, until this node stops. One JSON object a line.

        The filter applies to every view that is asked for, the order to the first. Whoever reads too slowly gets fewer
        frames, and holds up nobody.
        """
        question = _question(options.view, options)
        neighbours = _asked(node, options)
        if neighbours is not None:
            question.of_each_node()  # raises at once what no frame can be made of
        if node.inspection.is_full:
            return problem(503, "too_many_watches", f"{WATCHES_MAX} watch already", "end one of them, or ask for single pages")
        look = neighbours.frame if neighbours is not None else node.inspection.frame
        return LineStream(node.inspection.watch(question, every_s=parse_duration(options.every), look=look))

    @application.get("/metrics", tags=["inspection"], summary="What Prometheus is told", response_model=None)
    async def metrics() -> Response:
        """Every counter and table in Prometheus' text format."""
        text, kind = expose(node, await node.inspection.survey())
        return Response(text, headers={"Content-Type": kind})

    _add_kicks(application, node)


def _add_page(application: FastAPI, node: InspectedNode, view: str) -> None:
    @application.get(
        f"/{view}",
        tags=["inspection"],
        summary=_SUMMARIES[view],
        operation_id=view,
        response_model=PAGES[view],
        responses=_BAD_QUERY,
    )
    async def page(request: Request, options: Annotated[PageOptions, Query()]) -> Response:
        """Some rows as they are now."""
        await request.body()  # what comes behind it is that the client has left

        async def at_turn() -> None:
            if await request.is_disconnected():
                raise ClientDisconnect

        looked = _asked(node, options) or node.inspection
        found = await looked.page(_question([view], options), at_turn=at_turn)
        return Response(msgspec.json.encode(found), media_type="application/json")


def _question(views: Any, options: PageOptions) -> Question:
    return Question.read(views, filter=options.filter, sort=options.sort, limit=options.limit, offset=options.offset)


def _asked(node: InspectedNode, options: PageOptions) -> Neighbours | None:
    """Whom to ask for all nodes; None where this one alone is meant."""
    return None if options.scope == "node" else node.neighbours


def _add_kicks(application: FastAPI, node: InspectedNode) -> None:
    @application.delete(
        "/connections/{number}",
        tags=["inspection"],
        summary="End a connection",
        response_model=Kicked,
        responses={
            404: {"model": Problem, "description": "There is no such connection."},
            503: {"model": Problem, "description": "The node cannot be reached; whether it did it is not known."},
            **_BAD_OPTION,
        },
    )
    async def kick(number: Annotated[int, Path(ge=1)], options: Annotated[KickOptions, Query()]) -> Kicked | Response:
        """It is closed with 1012, so that its browser comes back; for good with 1000."""
        kicked: int | None = None
        if options.node is None:
            kicked = node.kick(number, for_good=options.for_good)
        elif node.neighbours is not None:
            kicked = await node.neighbours.kick(number, options.node, for_good=options.for_good)
        elif options.node == node.name:
            kicked = node.kick(number, for_good=options.for_good)
        if kicked is None:
            return problem(404, "unknown_node", f"no node that is present is called {options.node!r}", _WHERE_NAMES)
        if not kicked:
            hint = (
                "it may have ended"
                if options.node or node.neighbours is None
                else "name the node that has it, with node= or --node"
            )
            return problem(404, "unknown_connection", "there is no open connection with this number", hint)
        return Kicked(kicked=kicked, missing=[])

    @application.delete(
        "/users/{user_id:path}/connections",
        tags=["inspection"],
        summary="End all connections of a user",
        response_model=Kicked,
        responses={404: {"model": Problem, "description": "The user has no open connection."}, **_BAD_OPTION},
    )
    async def kick_user(user_id: UserId, options: Annotated[KickUserOptions, Query()]) -> Kicked | Response:
        """The same for each, on every node. What the user follows stays for the grace time."""
        missing: list[str] = []
        if node.neighbours is not None:
            kicked, missing = await node.neighbours.kick_user(user_id, for_good=options.for_good)
        else:
            kicked = node.kick_user(user_id, for_good=options.for_good)
        if not kicked and not missing:
            return problem(404, "unknown_user", "this user has no open connection", "names are case-sensitive")
        return Kicked(kicked=kicked, missing=missing)


_WHERE_NAMES = "vuemantics-ws watch --nodes and GET /nodes have their names"

_BAD_OPTION: dict[int | str, dict[str, Any]] = {422: {"model": Problem, "description": "An option makes no sense."}}
