"""The example of the documentation, run for real: FastAPI under uvicorn on a real port, with real clients."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from tests.connection_manager.messages import completed, progress
from tests.connection_manager.sockets import sizes
from tests.redis_server import RedisServer
from vuemantics_ws import ConnectionManager, RedisBroker

ROOT = Path(__file__).parent.parent
EXAMPLE = re.compile(r"<!-- example: fastapi -->\n```python\n(.+?)```", re.DOTALL)
PATIENCE_S = 10.0
"""For what should take no time; it fails a test rather than hanging it."""


def example() -> str:
    """The README's."""
    found = EXAMPLE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found is not None, "the README has no example for FastAPI"
    return found[1]


class Application:
    """The example under uvicorn, in the test's own loop."""

    def __init__(self, manager: ConnectionManager, server: uvicorn.Server, port: int) -> None:
        self.manager = manager
        self._server = server
        self.address = ("127.0.0.1", port)
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, trust_env=False)

    @asynccontextmanager
    async def tab(self, user_id: str, **options: Any) -> AsyncIterator["Tab"]:
        url = f"ws://127.0.0.1:{self.address[1]}/ws/uploads?user_id={user_id}"
        async with connect(url, compression=None, proxy=None, max_queue=None, **options) as connection:
            yield Tab(connection)

    async def publish(self, event: dict[str, Any], owner: str = "alice") -> str:
        answer = await self._http.post("/events", params={"owner": owner}, json=event)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["verdict"])

    async def handlers_ended(self) -> None:
        """Every handler of a WebSocket has run to its end."""
        handlers = list(self._server.server_state.tasks)
        await asyncio.wait_for(asyncio.gather(*handlers), PATIENCE_S)

    def stop(self) -> None:
        self._server.should_exit = True

    async def aclose(self) -> None:
        self.stop()
        await self._http.aclose()


class Tab:
    """A browser's tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def ask(self, action: str, upload_id: str) -> None:
        await self.connection.send(json.dumps({"action": action, "upload_id": upload_id}))

    async def follow(self, upload_id: str, shows: int) -> None:
        """Subscribe, and see the newest state. Whatever is published after this is seen too."""
        await self.ask("subscribe_upload", upload_id)
        assert await self.next() == shows

    async def next(self) -> int | str:
        """The percent that the tab shows next, or that it shows the end."""
        message = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE_S))
        return "done" if message["action"] == "upload_completed" else int(message["payload"]["progress_percent"])

    def stop_reading(self) -> None:
        self.connection.transport.pause_reading()

    def read_again(self) -> None:
        self.connection.transport.resume_reading()


@asynccontextmanager
async def application(broker: str = "MemoryBroker()") -> AsyncIterator[Application]:
    """``broker`` takes the place of the example's."""
    namespace: dict[str, Any] = {"__name__": "example", "RedisBroker": RedisBroker}
    exec(compile(example().replace("MemoryBroker()", broker), "the example", "exec"), namespace)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)  # accepted sockets inherit it
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(namespace["app"], log_config=None, lifespan="on", timeout_graceful_shutdown=5))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    made = Application(namespace["manager"], server, listener.getsockname()[1])
    try:
        yield made
    finally:
        await made.aclose()
        await asyncio.wait_for(serving, PATIENCE_S)
        assert sizes(made.manager) == {}


def run(scene: Callable[[Application], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with application() as served:
            await scene(served)

    asyncio.run(main())


def test_the_example_is_short() -> None:
    code = [line for line in example().splitlines() if line.strip() and not line.startswith(("from", "import"))]

    assert len(code) <= 25


def test_with_redis_in_its_place_two_processes_of_the_example_are_one(redis: RedisServer, prefix: str) -> None:
    broker = f"RedisBroker({redis.url!r}, prefix={prefix!r}, plain_prefix={prefix!r})"

    async def main() -> None:
        async with application(broker) as one, application(broker) as other:
            assert await one.publish(progress("a", 10)) == "accepted"
            async with one.tab("alice") as near, other.tab("alice") as far:
                await near.follow("a", shows=10)
                assert await far.next() == 10
                assert await other.publish(progress("a", 20)) == "accepted"
                assert await one.publish(completed("a")) == "accepted"
                for tab in (near, far):
                    while (shown := await tab.next()) != "done":
                        assert shown == 20

    asyncio.run(main())


def test_every_tab_of_the_owner_sees_every_state_and_the_end() -> None:
    async def scene(served: Application) -> None:
        await served.publish(progress("a", 0))
        await served.publish(progress("b", 0), owner="bob")
        async with served.tab("alice") as first, served.tab("alice") as second, served.tab("bob") as other:
            await first.follow("a", shows=0)
            assert await second.next() == 0  # the user follows, on every tab
            await other.follow("b", shows=0)
            await other.ask("subscribe_upload", "a")  # which is not his

            verdicts = [await served.publish(message) for message in (progress("a", 20), progress("a", 20), completed("a"))]
            await served.publish(completed("b"), owner="bob")

            assert verdicts == ["accepted", "duplicate", "accepted"]
            for tab in (first, second):
                assert [await tab.next(), await tab.next()] == [20, "done"]
            assert await other.next() == "done"

    run(scene)


def test_a_late_subscriber_and_a_late_tab_see_the_newest_state_at_once() -> None:
    async def scene(served: Application) -> None:
        for percent in (0, 20, 50):
            await served.publish(progress("a", percent))
        async with served.tab("alice") as late:
            await late.follow("a", shows=50)
            await served.publish(completed("a"))
            assert await late.next() == "done"

            async with served.tab("alice") as later:
                assert await later.next() == "done"

    run(scene)


def test_a_tab_that_gives_up_is_silent_and_the_other_is_not() -> None:
    async def scene(served: Application) -> None:
        await served.publish(progress("a", 0))
        async with served.tab("alice") as first, served.tab("alice") as second:
            await first.follow("a", shows=0)
            assert await second.next() == 0
            await first.ask("unsubscribe_upload", "a")
            await first.ask("subscribe_upload", "b")  # what is asked on one socket is done in order
            await served.publish(progress("b", 7))
            assert await first.next() == 7

            await served.publish(completed("a"))
            await served.publish(completed("b"))

            assert await first.next() == "done"
            assert json.loads(await asyncio.wait_for(second.connection.recv(), PATIENCE_S))["payload"]["upload_id"] == "b"
            assert [await second.next(), await second.next()] == ["done", "done"]

    run(scene)


def test_a_client_that_stops_reading_delays_nobody_and_then_sees_the_newest_and_the_end() -> None:
    async def scene(served: Application) -> None:
        def large(percent: int) -> dict[str, Any]:
            message = progress("a", percent)
            message["payload"]["message"] = "x" * 50_000
            return message

        await served.publish(progress("a", 0))
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, served.address)
        async with served.tab("alice") as prompt, served.tab("alice", sock=narrow) as slow:
            await prompt.follow("a", shows=0)
            assert await slow.next() == 0
            slow.stop_reading()

            for percent in range(1, 40):  # 2 MB, and the sockets hold a tenth
                await served.publish(large(percent))
                assert await prompt.next() == percent
            await served.publish(completed("a"))
            assert await prompt.next() == "done"
            slow.read_again()
            shown = [await slow.next()]
            while shown[-1] != "done":
                shown.append(await slow.next())

            percents = shown[:-1]
            assert percents == sorted(set(percents), key=int)
            assert 1 <= len(percents) < 39, "it was slow, and skipped what was out of date"

    run(scene)


def test_a_disconnect_leaves_nothing_but_the_grace_time() -> None:
    async def scene(served: Application) -> None:
        async with served.tab("alice") as closing, served.tab("bob") as dying:
            for tab, user_id, upload_id in ((closing, "alice", "a"), (dying, "bob", "b")):
                await served.publish(progress(upload_id, 0), owner=user_id)
                await tab.follow(upload_id, shows=0)
            before = sizes(served.manager)
            dying.connection.transport.abort()
        await served.handlers_ended()

        assert before == {"writers": 2, "users": 2, "uploads": 2}
        assert not served.manager.user_connections
        assert sizes(served.manager) == {"users": 2, "uploads": 2, "leaving": 2, "grace": 1}
        for user_id, upload_id in (("alice", "a"), ("bob", "b")):
            await served.manager.unsubscribe_upload(user_id, upload_id)
        assert sizes(served.manager) == {"grace": 1}  # a timer that will find nobody

    run(scene)


def test_disconnect_all_closes_real_sockets_and_ends_their_handlers() -> None:
    async def scene(served: Application) -> None:
        async with served.tab("alice") as first, served.tab("alice") as second:
            await served.publish(progress("a", 0))
            await first.follow("a", shows=0)
            assert await second.next() == 0

            await served.manager.disconnect_all()
            await served.handlers_ended()

            for tab in (first, second):
                await asyncio.wait_for(tab.connection.wait_closed(), PATIENCE_S)
                assert (tab.connection.close_code, tab.connection.close_reason) == (1012, "Server reloading")
            assert sizes(served.manager) == {}

    run(scene)


def test_a_handler_that_raises_leaves_nothing_either() -> None:
    async def scene(served: Application) -> None:
        async with served.tab("alice") as broken, served.tab("alice") as whole:
            await served.publish(progress("a", 0))
            await whole.follow("a", shows=0)
            assert await broken.next() == 0

            await broken.connection.send("no JSON")
            await asyncio.wait_for(broken.connection.wait_closed(), PATIENCE_S)
            await served.publish(progress("a", 20))

            assert await whole.next() == 20
            assert len(served.manager.user_connections["alice"]) == 1

    run(scene)


@pytest.mark.parametrize("leave_first", [True, False])
def test_the_server_stops_with_clients_connected_or_gone(leave_first: bool) -> None:
    async def main() -> None:
        async with application() as served:
            await served.publish(progress("a", 0))
            async with served.tab("alice") as tab:
                await tab.follow("a", shows=0)
                if not leave_first:
                    served.stop()
                    await asyncio.wait_for(tab.connection.wait_closed(), PATIENCE_S)
                    assert tab.connection.close_code == 1012

    asyncio.run(main())
