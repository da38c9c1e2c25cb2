"""Two nodes behind a real nginx that does as docs/deployment.md says."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.client import connect

from tests.cli.program import free_port
from tests.gateway.nodes import Client, completed, event, gateway
from tests.nginx import Nginx
from vuemantics_ws.gateway.server import Gateway

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there the whole of 127.0.0.0/8 is this machine")

SOMEBODY = "127.0.0.2"
"""Where the browser of a test is; nginx is at 127.0.0.1."""


TRUSTED = (ip_network("127.0.0.1"),)


class Site(NamedTuple):
    nginx: Nginx
    nodes: tuple[Gateway, Gateway]

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        """Over TLS, through nginx."""
        trusting = ssl.create_default_context(cafile=str(self.nginx.folder / "app.example.org.pem"))
        async with connect(
            f"wss://app.example.org:{self.nginx.port}/api/ws/uploads",
            host="127.0.0.1", local_addr=(SOMEBODY, 0), ssl=trusting, proxy=None, compression=None, **options,
        ) as joined:  # fmt: skip
            yield Client(joined)

    @asynccontextmanager
    async def browser(self, user_id: str) -> AsyncIterator[Client]:
        """The same, authenticated."""
        async with self.client() as joined:
            await joined.send(type="auth", token=self.nodes[0].authenticator.mint(user_id, 60.0))
            assert await joined.next() == {"action": "auth_success", "user_id": user_id}
            yield joined

    def node_of(self, user_id: str) -> Gateway:
        (node,) = [node for node in self.nodes if user_id in node.manager.registry.users]
        return node


@asynccontextmanager
async def site(*, drain_s: float = 0.0) -> AsyncIterator[Site]:
    async with (
        gateway(trusted_proxies=TRUSTED, drain_s=drain_s) as one,
        gateway(trusted_proxies=TRUSTED, drain_s=drain_s) as other,
    ):
        with Nginx(free_port(), one.address[1], other.address[1]) as nginx:
            yield Site(nginx, (one, other))


def test_a_browser_comes_through_and_is_known_by_its_own_address() -> None:
    async def scenario() -> tuple[list[str], list[dict[str, Any]]]:
        async with site() as behind, behind.browser("alice") as alice:
            node = behind.node_of("alice")
            await alice.subscribe("u1")
            await node.manager.publish(event("u1", 20))
            await node.manager.publish(completed("u1"))
            addresses = [connection.peer_address for connection in node.connections]
            return addresses, [await alice.next(), await alice.next()]

    addresses, messages = asyncio.run(scenario())

    assert addresses == [SOMEBODY]
    assert [message["action"] for message in messages] == ["upload_progress", "upload_completed"]


def test_an_address_that_the_browser_invents_is_not_believed() -> None:
    async def scenario() -> list[str]:
        async with site() as behind, behind.client(additional_headers={"X-Forwarded-For": "203.0.113.7"}):
            return [connection.peer_address for node in behind.nodes for connection in node.connections]

    assert asyncio.run(scenario()) == [SOMEBODY]


def test_connections_go_to_the_node_that_has_fewer() -> None:
    async def scenario() -> list[int]:
        async with site() as behind, AsyncExitStack() as open_ones:
            joined = [await open_ones.enter_async_context(behind.browser(f"user-{number}")) for number in range(4)]
            leaving = [client for number, client in enumerate(joined) if behind.node_of(f"user-{number}") is behind.nodes[0]]
            for client in leaving:
                await client.socket.close()
            for number in range(2):
                await open_ones.enter_async_context(behind.browser(f"later-{number}"))
            return [len(leaving), *(len(node.connections) for node in behind.nodes)]

    assert asyncio.run(scenario()) == [2, 2, 2]


def test_when_a_node_stops_its_browsers_come_back_through_the_other_at_once() -> None:
    async def scenario() -> tuple[int | None, bool, int]:
        async with site() as behind:
            async with behind.browser("alice") as alice:
                stopped = behind.node_of("alice")
                await stopped.stop()
                code = await alice.close_code()
            came_back_to = []
            for _ in range(4):
                async with behind.browser("alice"):
                    came_back_to.append(behind.node_of("alice"))
            return code, stopped in came_back_to, len(came_back_to)

    assert asyncio.run(scenario()) == (1012, False, 4)


def test_a_node_that_is_back_gets_all_browsers_of_the_next_that_stops_at_once() -> None:
    """As in a rolling restart. Nothing of the first node's absence is held against it."""

    async def scenario() -> int:
        async with site() as behind, AsyncExitStack() as open_ones:
            first, second = behind.nodes
            await first.stop()
            for number in range(4):
                await open_ones.enter_async_context(behind.browser(f"user-{number}"))
            back = await open_ones.enter_async_context(gateway(port=first.address[1], trusted_proxies=TRUSTED))
            await second.stop()
            for number in range(8):
                await open_ones.enter_async_context(behind.browser(f"later-{number}"))
            return len(back.connections)

    assert asyncio.run(scenario()) == 8


def test_while_a_node_drains_whoever_is_new_gets_the_other() -> None:
    """It still listens, and says 503: nginx asks the next one."""

    async def scenario() -> tuple[str, int, int]:
        async with site(drain_s=60.0) as behind, behind.browser("alice"), behind.browser("bob"):
            drains, at_once = behind.node_of("alice"), asyncio.Event()
            stopping = asyncio.ensure_future(drains.stop(at_once=at_once))
            await asyncio.sleep(0)
            state, before = drains.state, len(drains.connections)
            async with behind.browser("carol"), behind.browser("dave"), behind.browser("eve"):
                other = behind.node_of("carol")
                found = len(other.connections)
            at_once.set()
            await stopping
            return state, before, found

    assert asyncio.run(scenario()) == ("draining", 1, 4)
