"""One node that speaks for all of them: it asks the others what it is asked, and puts the answers together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from vuemantics_ws.brokers.nodes import Answers, Handler, Nodes
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.gateway.inspection import Inspection, Question
from vuemantics_ws.gateway.merging import merge_frames
from vuemantics_ws.gateway.page_merging import merge_pages, names_in, page_of_silent, with_all_of

_SPOKEN = "1"
"""Stands behind the names of questions. It counts up whenever what is asked or said is another thing: nodes of two versions are
then missing to each other, and misunderstand nothing."""

PAGE, FRAME, ROWS, KICK, KICK_USER = (f"{name}/{_SPOKEN}" for name in ("page", "frame", "rows", "kick", "kick_user"))


class Acting(Protocol):
    """What of a node is asked for others."""

    @property
    def inspection(self) -> Inspection: ...
    def report(self) -> dict[str, Any]: ...
    def kick(self, number: int, *, for_good: bool) -> int: ...
    def kick_user(self, user_id: str, *, for_good: bool) -> int: ...


class Neighbours:
    """All nodes around a broker, as one. What a node does not say in time is missing, and its name is told."""

    def __init__(self, node: Acting, nodes: Nodes) -> None:
        self._node = node
        self._nodes = nodes

    @property
    def handlers(self) -> dict[str, Handler]:
        """What this node answers to the others."""
        return {PAGE: self._page, FRAME: self._frame, ROWS: self._rows, KICK: self._kick, KICK_USER: self._kick_user}

    async def page(self, question: Question, *, at_turn: Callable[[], Awaitable[None]] | None = None) -> dict[str, Any]:
        """One page of what all nodes have. ``at_turn`` is as for :meth:`Inspection.page`.

        Raises:
            BadQuery: it lies too far down.
        """
        each = question.of_each_node()
        async with _Others(self._nodes, PAGE, each) as others:
            own = await self._node.inspection.page(each, at_turn=at_turn)
            said = await others
        pages = [own, *said.answers, *page_of_silent(own, self._silent(said))]
        page = merge_pages(pages, limit=question.limit, offset=question.offset) | {"missing": said.missing}
        return (await self._completed([page], said))[0]

    async def frame(self, question: Question) -> dict[str, Any]:
        """All nodes at a glance."""
        each = question.of_each_node()
        async with _Others(self._nodes, FRAME, each) as others:
            own = await self._node.inspection.frame(each)
            said = await others
        silent = self._silent(said)
        frame = merge_frames([own, *said.answers], silent=silent, limit=question.limit, offset=question.offset)
        return frame | {"views": await self._completed(frame["views"], said)}

    async def _completed(self, pages: list[dict[str, Any]], said: Answers) -> list[dict[str, Any]]:
        """With every row made of all that any node has of it. Where some node is silent it is not waited for again."""
        wanted = {page["view"]: names for page in pages if (names := names_in(page))}
        if not wanted or not said.answers or said.missing:
            return pages
        own, others = await asyncio.gather(self._node.inspection.rows(wanted), self._nodes.ask(ROWS, wanted))
        if others.missing:
            return pages
        told = [own, *others.answers]
        return [
            with_all_of(page, [answer[page["view"]] for answer in told]) if page["view"] in wanted else page for page in pages
        ]

    def _silent(self, said: Answers) -> list[dict[str, Any]]:
        return [other for other in self._nodes.others() if other["name"] in said.missing]

    async def kick(self, number: int, node_name: str, *, for_good: bool) -> int | None:
        """Close a connection of a node. Returns how many there were, None where no node is called so.

        Raises:
            BrokerAway: the node does not answer, or no node is known by this name while nobody can be asked.
        """
        kicked = None
        for node in [self._node.report(), *self._nodes.others()]:
            if node_name in (node["name"], node["id"]):
                kicked = (kicked or 0) + await self._kick_on(node["id"], number, for_good=for_good)
        if kicked is None and not (broker := self._node.inspection.broker())["ready"]:
            said = f"no node that can be reached is called {node_name!r}: {broker['reason'] or 'the broker is away'}"
            raise BrokerAway(said, hint=broker["hint"])
        return kicked

    async def kick_user(self, user_id: str, *, for_good: bool) -> tuple[int, list[str]]:
        """Close every connection of a user on all nodes. Returns how many there were, and the nodes that did not say."""
        own = self._node.kick_user(user_id, for_good=for_good)
        said = await self._nodes.ask(KICK_USER, {"user_id": user_id, "for_good": for_good})
        return own + sum(answer["kicked"] for answer in said.answers), said.missing

    async def _kick_on(self, node_id: str, number: int, *, for_good: bool) -> int:
        if node_id == self._nodes.node_id:
            return self._node.kick(number, for_good=for_good)
        said = await self._nodes.ask(KICK, {"number": number, "for_good": for_good}, node_id=node_id)
        if said.missing:
            broker = self._node.inspection.broker()
            why = "" if broker["ready"] else f": {broker['reason'] or 'the broker is away'}"
            raise BrokerAway(f"{said.missing[0]} cannot be reached{why}", hint=broker["hint"])
        return sum(answer["kicked"] for answer in said.answers)

    # What others ask.

    async def _page(self, asked: dict[str, Any]) -> dict[str, Any]:
        return await self._node.inspection.page(Question.read(**asked).of_each_node())

    async def _frame(self, asked: dict[str, Any]) -> dict[str, Any]:
        return await self._node.inspection.frame(Question.read(**asked).of_each_node())

    async def _rows(self, asked: dict[str, Any]) -> dict[str, Any]:
        return await self._node.inspection.rows(asked)

    async def _kick(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"kicked": self._node.kick(asked["number"], for_good=asked["for_good"])}

    async def _kick_user(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"kicked": self._node.kick_user(asked["user_id"], for_good=asked["for_good"])}


class _Others:
    """The others are asked while this node looks for itself. Where that fails, nobody waits for them."""

    def __init__(self, nodes: Nodes, question: str, asked: Question) -> None:
        self._asking = asyncio.ensure_future(nodes.ask(question, asked.as_json()))

    async def __aenter__(self) -> "asyncio.Future[Any]":
        return self._asking

    async def __aexit__(self, *_: object) -> None:
        self._asking.cancel()
        await asyncio.wait([self._asking])
