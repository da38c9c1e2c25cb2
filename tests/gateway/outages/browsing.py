"""A browser that stays, and remembers all that it hears."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, NamedTuple

from websockets.exceptions import ConnectionClosed

from tests.gateway.nodes import Client, browser
from vuemantics_ws.gateway.server import Gateway


class Heard(NamedTuple):
    version: tuple[int, int]
    terminal: bool
    said: dict[str, Any]


class Tab:
    """One connection of one user. It never comes back by itself: whoever disconnects it shows."""

    def __init__(self, client: Client) -> None:
        self.heard: dict[str, list[Heard]] = {}
        self.known: dict[str, bool] = {}
        """What ``subscribed`` said."""
        self.close_code: int | None = None
        self._client = client

    def newest(self, upload_id: str) -> Heard | None:
        return next(iter(self.heard.get(upload_id, [])[-1:]), None)

    def has_end(self, upload_id: str) -> bool:
        newest = self.newest(upload_id)
        return newest is not None and newest.terminal

    async def follow(self, *upload_ids: str) -> None:
        """Asks and waits for no answer."""
        for upload_id in upload_ids:
            await self._client.send(action="subscribe_upload", upload_id=upload_id)

    async def listen(self) -> None:
        try:
            while True:
                self._hear(json.loads(await self._client.socket.recv()))
        except ConnectionClosed:
            self.close_code = self._client.socket.close_code

    def _hear(self, said: dict[str, Any]) -> None:
        match said["action"]:
            case "ping":
                pass
            case "subscribed":
                self.known[said["upload_id"]] = said["known"]
            case _:
                upload_id = said["payload"]["upload_id"] if "payload" in said else said["upload_id"]
                version = said["attempt"], said["seq"]
                self.heard.setdefault(upload_id, []).append(Heard(version, said["action"] != "upload_progress", said))

    def see_the_laws_kept(self, upload_id: str) -> None:
        """Versions only grow, nothing follows an end within its attempt, and the newest attempt's end came once."""
        heard = self.heard.get(upload_id, [])
        versions = [news.version for news in heard]
        assert versions == sorted(set(versions)), f"{upload_id}: an older state after a newer one: {versions}"
        ends = [news.version[0] for news in heard if news.terminal]
        assert len(ends) == len(set(ends)), f"{upload_id}: an end twice: {versions}"
        for before, after in pairwise(heard):
            assert not (before.terminal and before.version[0] == after.version[0]), f"{upload_id}: {versions} after an end"
        assert self.close_code is None, f"disconnected with {self.close_code}"


@asynccontextmanager
async def open_tab(node: Gateway, user_id: str) -> AsyncIterator[Tab]:
    async with browser(node, user_id) as client:
        tab = Tab(client)
        listening = asyncio.ensure_future(tab.listen())
        try:
            yield tab
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            if not listening.cancelled():
                listening.result()
