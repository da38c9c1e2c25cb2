"""One real client over real sockets, against servers that do what servers do."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.client.peer import Peer, Script, run, serving, stranger
from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.client.endings import ConnectionClosedByServer, ConnectionLost
from vuemantics_ws.client.subscriber import Connected, Notice, Subscriber, Waiting, follow
from vuemantics_ws.errors import BadSetting, EnvironmentUnfit, Refused

AT_ONCE = Backoff(initial_s=0.001, jitter_s=0.0, tries_max=3)


async def token() -> str:
    return "a.b.c"


async def everything(
    url: str, *, backoff: Backoff | None = None, notice: Callable[[Notice], None] = lambda _: None
) -> list[dict[str, Any]]:
    return [
        message
        async for message in follow(url, ["u1", "u2"], token=token, backoff=backoff, dice=random.Random(1), notice=notice)
    ]


async def answered(script: Script) -> list[dict[str, Any]]:
    async with serving(script) as url:
        return await everything(url)


class TestConversation:
    def test_a_state_that_comes_twice_is_yielded_once(self) -> None:
        state = {"action": "upload_failed", "upload_id": "u1", "attempt": 1, "seq": 3}

        async def script(peer: Peer) -> None:
            await peer.welcome()
            for said in (state, {"action": "subscribed", "upload_id": "u1", "known": True}, state, {**state, "seq": 4}, state):
                await peer.send(**said)

        got = run(answered(script))

        assert [message.get("seq") for message in got] == [3, None, 4, 3]

    def test_it_authenticates_subscribes_and_yields_what_comes(self) -> None:
        heard: list[Any] = []

        async def script(peer: Peer) -> None:
            heard.append(await peer.welcome())
            heard.extend([await peer.receive(), await peer.receive()])
            await peer.send(action="subscribed", upload_id="u1", known=False)
            await peer.send(action="nobody_knows_this", some=["thing"])

        got = run(answered(script))

        assert heard == [
            "a.b.c",
            {"action": "subscribe_upload", "upload_id": "u1"},
            {"action": "subscribe_upload", "upload_id": "u2"},
        ]
        assert got == [
            {"action": "subscribed", "upload_id": "u1", "known": False},
            {"action": "nobody_knows_this", "some": ["thing"]},
        ]

    def test_a_ping_is_answered_and_not_shown(self) -> None:
        answers: list[Any] = []

        async def script(peer: Peer) -> None:
            await peer.welcome()
            await peer.send(action="ping")
            while (message := await peer.receive())["action"] != "pong":
                pass
            answers.append(message)

        got = run(answered(script))

        assert answers == [{"action": "pong"}]
        assert got == []

    def test_it_knows_whom_the_server_took_it_for(self) -> None:
        async def scene() -> str:
            async def script(peer: Peer) -> None:
                await peer.welcome("bob")

            async with serving(script) as url, await Subscriber.connect(url, "a.b.c") as subscriber:
                return subscriber.user_id

        assert run(scene()) == "bob"

    def test_giving_up_is_said(self) -> None:
        heard: list[Any] = []

        async def script(peer: Peer) -> None:
            await peer.welcome()
            heard.append(await peer.receive())

        async def scene() -> None:
            async with serving(script) as url, await Subscriber.connect(url, "a.b.c") as subscriber:
                await subscriber.unsubscribe("u1")
                assert await subscriber.receive() is None

        run(scene())

        assert heard == [{"action": "unsubscribe_upload", "upload_id": "u1"}]

    def test_a_cancelled_receive_loses_nothing(self) -> None:
        go_on = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.welcome()
            await go_on.wait()
            await peer.send(action="first")

        async def scene() -> Any:
            async with serving(script) as url, await Subscriber.connect(url, "a.b.c") as subscriber:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(subscriber.receive(), 0.01)
                go_on.set()
                return await subscriber.receive()

        assert run(scene()) == {"action": "first"}


class TestEndings:
    @pytest.mark.parametrize(
        ("code", "reason", "kind", "expected"),
        [
            (
                1012,
                "Server reloading",
                ConnectionLost,
                "the server shuts down, or was told to close it (1012, Server reloading)",
            ),
            (1011, "", ConnectionLost, "a fault of ours (1011)"),
            (1013, "user_connections", ConnectionClosedByServer, "the server or the user is full (1013, user_connections)"),
            (4005, "", ConnectionClosedByServer, "the token expired while connected (4005)"),
            (4008, "", ConnectionClosedByServer, "nothing was taken for too long (4008)"),
            (4999, "", ConnectionClosedByServer, "an unknown code (4999)"),
        ],
    )
    def test_a_close_is_told_with_its_meaning(self, code: int, reason: str, kind: type[Exception], expected: str) -> None:
        async def script(peer: Peer) -> None:
            await peer.welcome()
            await peer.close(code, reason)

        with pytest.raises(kind) as caught:
            run(answered(script))

        assert str(caught.value) == f"the server closed the connection: {expected}"
        assert caught.value.code == code  # type: ignore[attr-defined]

    def test_a_refused_token_is_told_in_the_server_s_words(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.receive()
            await peer.send(action="auth_error", message="Token expired")
            await peer.close(4003, "token refused")

        with pytest.raises(Refused) as caught:
            run(answered(script))

        assert str(caught.value).endswith("the token was refused (4003, Token expired)")
        assert caught.value.hint == "get a new token"
        assert "a.b.c" not in str(caught.value)

    def test_a_cut_connection_is_lost(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.welcome()
            peer.cut()

        with pytest.raises(ConnectionLost) as caught:
            run(answered(script))

        assert caught.value.code == 1006

    def test_what_is_no_message_comes_from_no_server_of_ours(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.welcome()
            await peer.socket.send("hello")

        with pytest.raises(EnvironmentUnfit, match="no server of ours"):
            run(answered(script))

    def test_a_message_of_any_size_does_not_fill_the_memory(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.welcome()
            await peer.send(action="a" * 1024 * 1024)

        with pytest.raises(ConnectionLost, match="too big"):
            run(answered(script))

    def test_a_server_that_never_answers_the_auth_message_is_given_up(self) -> None:
        async def scene() -> None:
            async with serving(lambda peer: peer.socket.wait_closed()) as url:
                await Subscriber.connect(url, "a.b.c", timeout_s=0.05)

        with pytest.raises(EnvironmentUnfit, match=r"no answer to the auth message .* within 0\.05 s"):
            run(scene())


class TestHandshake:
    def test_a_port_where_nothing_listens_says_how_to_start_a_server(self) -> None:
        with pytest.raises(EnvironmentUnfit) as caught:
            run(everything("ws://127.0.0.1:1/ws/uploads"))

        assert caught.value.message == "no server at ws://127.0.0.1:1/ws/uploads: nothing listens there"
        assert caught.value.hint == "start one with: vuemantics-ws serve"

    @pytest.mark.parametrize(("status", "kind"), [(403, Refused), (404, Refused), (429, Refused), (503, EnvironmentUnfit)])
    def test_a_refused_upgrade_is_told_with_its_status(self, status: int, kind: type[Exception]) -> None:
        def refuse(connection: ServerConnection, request: Request) -> Response:
            return connection.respond(HTTPStatus(status), "go away\n")

        async def scene() -> None:
            async with serving(lambda peer: peer.socket.wait_closed(), process_request=refuse) as url:
                await everything(url)

        with pytest.raises(kind, match=f"answered HTTP {status}: go away$"):
            run(scene())

    def test_a_port_that_speaks_no_websocket_says_so(self) -> None:
        async def scene() -> None:
            async with stranger(b"220 mail.example.org ESMTP\r\n") as port:
                await everything(f"ws://127.0.0.1:{port}/")

        with pytest.raises(EnvironmentUnfit, match="speaks no WebSocket"):
            run(scene())

    def test_a_wrong_scheme_is_a_bad_setting(self) -> None:
        with pytest.raises(BadSetting):
            run(everything("http://127.0.0.1:1/ws/uploads"))


class TestComingBack:
    def test_it_comes_back_repeats_its_subscriptions_and_asks_for_a_fresh_token(self) -> None:
        heard: list[Any] = []
        tokens = iter(["first", "second"])
        notices: list[Notice] = []

        async def script(peer: Peer) -> None:
            heard.append(await peer.welcome())
            heard.append((await peer.receive())["upload_id"])
            await peer.close(*((1012, "Server reloading") if peer.number == 1 else (1000, "")))

        async def fresh() -> str:
            return next(tokens)

        async def scene() -> None:
            async with serving(script) as url:
                messages = follow(url, ["u1"], token=fresh, backoff=AT_ONCE, dice=random.Random(1), notice=notices.append)
                assert [message async for message in messages] == []

        run(scene())

        assert heard == ["first", "u1", "second", "u1"]
        assert [type(notice) for notice in notices] == [Connected, Waiting, Connected]
        assert notices[0] == Connected("alice", again=False)
        assert notices[2] == Connected("alice", again=True)

    def test_the_tries_are_counted_anew_after_every_success(self) -> None:
        notices: list[Notice] = []

        async def script(peer: Peer) -> None:
            await peer.welcome()
            if peer.number < 6:
                peer.cut()

        async def scene() -> None:
            async with serving(script) as url:
                await everything(url, backoff=AT_ONCE, notice=notices.append)

        run(scene())

        assert [notice.tries for notice in notices if isinstance(notice, Waiting)] == [1, 1, 1, 1, 1]

    def test_after_the_last_try_it_gives_up(self) -> None:
        notices: list[Notice] = []

        with pytest.raises(EnvironmentUnfit, match="nothing listens there"):
            run(everything("ws://127.0.0.1:1/", backoff=AT_ONCE, notice=notices.append))

        assert [notice.tries for notice in notices if isinstance(notice, Waiting)] == [1, 2, 3]

    @pytest.mark.parametrize("code", [4001, 4002, 4003, 4004])
    def test_where_the_browser_stays_away_it_stays_away(self, code: int) -> None:
        seen: list[int] = []

        async def script(peer: Peer) -> None:
            seen.append(peer.number)
            await peer.receive()
            await peer.close(code)

        async def scene() -> None:
            async with serving(script) as url:
                await everything(url, backoff=AT_ONCE)

        with pytest.raises(Refused):
            run(scene())

        assert seen == [1]

    def test_without_a_backoff_it_does_not_come_back(self) -> None:
        seen: list[int] = []

        async def script(peer: Peer) -> None:
            seen.append(peer.number)
            await peer.welcome()
            peer.cut()

        with pytest.raises(ConnectionLost):
            run(answered(script))

        assert seen == [1]
