"""The gateway as a client meets it, on real sockets: who gets in, who gets what, and how everything ends."""

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.gateway.nodes import browser, client, completed, event, gateway
from vuemantics_ws.core.upload import Event


class SettableClock:
    """A wall clock that the test moves; ages and deadlines stay the loop's."""

    def __init__(self) -> None:
        self.wall_s = 1_800_000_000.0

    def wall(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def _said_before_the_end(said: list[Any], **settings: Any) -> tuple[list[dict[str, Any]], int | None]:
    async with gateway(**settings) as node, client(node) as guest:
        for message in said:
            await guest.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
        return await guest.rest(), guest.socket.close_code


@pytest.mark.parametrize(
    ("said", "answers", "code"),
    [
        ([], [{"action": "auth_error", "message": "Authentication timeout"}], 4001),
        ([{"action": "ping"}], [{"action": "auth_error", "message": "Authentication required"}], 4002),
        ([{"type": "auth"}], [{"action": "auth_error", "message": "Authentication required"}], 4002),
        ([[]], [{"action": "auth_error", "message": "Authentication required"}], 4002),
        ([{"type": "auth", "token": "forged"}], [{"action": "auth_error", "message": "Invalid token"}], 4003),
        (["{not json"], [], 4004),
        ([b"binary"], [], 1003),
        ([{"type": "auth", "token": "x" * 9_000}], [], 1009),
    ],
)
def test_whoever_does_not_authenticate_is_told_so_and_sent_away(
    said: list[Any], answers: list[dict[str, Any]], code: int
) -> None:
    assert asyncio.run(_said_before_the_end(said, auth_timeout_s=0.1)) == (answers, code)


def test_an_expired_token_is_told_from_an_invalid_one() -> None:
    async def scenario() -> tuple[list[Any], int | None]:
        async with gateway() as node, client(node) as guest:
            await guest.send(type="auth", token=node.authenticator.mint("alice", -1.0))
            return await guest.rest(), guest.socket.close_code

    assert asyncio.run(scenario()) == ([{"action": "auth_error", "message": "Token expired"}], 4003)


def test_pings_do_not_put_the_auth_deadline_off() -> None:
    async def scenario() -> tuple[float, int | None]:
        loop = asyncio.get_running_loop()
        async with gateway(auth_timeout_s=0.2) as node, client(node) as guest:
            started_at = loop.time()

            async def ping() -> None:
                while True:
                    await guest.socket.ping()
                    await asyncio.sleep(0.02)

            pinging = asyncio.create_task(ping())
            code = await guest.close_code()
            pinging.cancel()
            return loop.time() - started_at, code

    took_s, code = asyncio.run(scenario())

    assert code == 4001
    assert took_s < 0.9


def test_auth_and_subscribe_in_one_segment_are_answered_in_order() -> None:
    async def scenario() -> list[str]:
        async with gateway() as node, client(node) as guest:
            token = node.authenticator.mint("alice", 60.0)
            await node.manager.publish(event("u1", 10))
            await asyncio.gather(guest.send(type="auth", token=token), guest.send(action="subscribe_upload", upload_id="u1"))
            return [(await guest.next())["action"] for _ in range(3)]

    assert asyncio.run(scenario()) == ["auth_success", "subscribed", "upload_progress"]


def test_a_second_auth_message_ends_the_connection() -> None:
    async def scenario() -> int | None:
        async with gateway() as node, browser(node, "alice") as tab:
            await tab.send(type="auth", token="again")
            return await tab.close_code()

    assert asyncio.run(scenario()) == 4006


@pytest.mark.parametrize(
    "said",
    ["nonsense", "[]", "{}", '{"action": "fly"}', '{"action": "subscribe_upload"}', "[" * 5_000,
     '{"action": "subscribe_upload", "upload_id": "a b"}', '{"action": "subscribe_upload", "upload_id": "*"}'],
)  # fmt: skip
def test_what_cannot_be_read_is_answered_and_the_connection_stays(said: str) -> None:
    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        async with gateway() as node, browser(node, "alice") as tab:
            await tab.socket.send(said)
            return await tab.next(), await tab.subscribe("u1")

    complaint, answer = asyncio.run(scenario())

    assert (complaint["action"], complaint["code"]) == ("error", "bad_message")
    assert answer["action"] == "subscribed"


def test_reauth_says_that_it_is_not_built() -> None:
    async def scenario() -> dict[str, Any]:
        async with gateway() as node, browser(node, "alice") as tab:
            await tab.send(action="reauth", token="x")
            return await tab.next()

    assert asyncio.run(scenario())["code"] == "not_supported"


def test_a_connection_ends_when_its_token_expires() -> None:
    async def scenario() -> tuple[float, int | None]:
        loop = asyncio.get_running_loop()
        async with gateway() as node, client(node) as guest:
            await guest.send(type="auth", token=node.authenticator.mint("alice", 0.3))
            started_at = loop.time()
            code = await guest.close_code()
            return loop.time() - started_at, code

    took_s, code = asyncio.run(scenario())

    assert code == 4005
    assert took_s < 1.3


def test_a_wall_clock_that_is_set_back_gives_a_token_its_time() -> None:
    clock = SettableClock()

    async def scenario() -> dict[str, Any]:
        async with gateway(clock=clock) as node, client(node) as guest:
            await guest.send(type="auth", token=node.authenticator.mint("alice", 0.1))
            await guest.next()
            clock.wall_s -= 3_600
            await asyncio.sleep(0.3)
            return await guest.subscribe("u1")

    assert asyncio.run(scenario())["action"] == "subscribed"


def test_a_user_may_have_only_so_many_connections() -> None:
    async def scenario() -> tuple[int | None, str | None, dict[str, Any]]:
        async with gateway(connections_per_user_max=2) as node:
            async with browser(node, "alice"), browser(node, "alice") as second, client(node) as third:
                await third.send(type="auth", token=node.authenticator.mint("alice", 60.0))
                code = await third.close_code()
                return code, third.socket.close_reason, await second.subscribe("u1")

    code, reason, answer = asyncio.run(scenario())

    assert (code, reason) == (1013, "user_connections")
    assert answer["action"] == "subscribed"


def test_the_oldest_silent_connection_makes_room_for_a_newcomer() -> None:
    async def scenario() -> tuple[int | None, str | None, int]:
        async with gateway(unauthenticated_max=2) as node, client(node) as oldest, client(node), browser(node, "alice"):
            code = await oldest.close_code()
            return code, oldest.socket.close_reason, node.statistics()["tables"]["unauthenticated"]

    assert asyncio.run(scenario()) == (1013, "unauthenticated", 1)


def test_a_full_server_refuses_upgrades_and_lets_in_again_when_somebody_left() -> None:
    async def scenario() -> tuple[int, str]:
        async with gateway(connections_max=1) as node:
            async with browser(node, "alice"):
                with pytest.raises(InvalidStatus) as refused:
                    async with client(node):
                        pass
                response = refused.value.response
            async with browser(node, "bob"):
                return response.status_code, response.headers["Retry-After"]

    status, retry_after = asyncio.run(scenario())

    assert status == 503
    assert int(retry_after) > 0


def test_a_page_of_a_foreign_origin_is_refused() -> None:
    async def scenario() -> int:
        async with gateway(origins=("https://app.example",)) as node:
            async with client(node, origin="https://app.example"):
                pass
            with pytest.raises(InvalidStatus) as refused:
                async with client(node, origin="https://evil.example"):
                    pass
            return refused.value.response.status_code

    assert asyncio.run(scenario()) == 403


def test_every_tab_of_every_follower_gets_the_same_states_in_order() -> None:
    async def scenario() -> list[list[tuple[int, int]]]:
        async with gateway() as node:
            async with browser(node, "alice") as one, browser(node, "alice") as two, browser(node, "bob") as three:
                await one.subscribe("u1")
                await three.subscribe("u1")
                for percent in range(50):
                    await node.manager.publish(event("u1", percent))
                await node.manager.publish(completed("u1"))
                seen = []
                for tab in (one, two, three):
                    versions: list[tuple[int, int]] = []
                    while True:
                        message = await tab.next()
                        versions.append((message["attempt"], message["seq"]))
                        if message["action"] == "upload_completed":
                            break
                    seen.append(versions)
                return seen

    for versions in asyncio.run(scenario()):
        assert versions == sorted(set(versions))
        assert versions[-1] == (1, 51)


def test_the_owner_rule_tells_nobody_else_anything() -> None:
    async def scenario() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        async with gateway(access="owner") as node:
            async with browser(node, "alice") as alice, browser(node, "mallory") as mallory:
                await node.manager.publish(event("u1", 10), owner="alice")
                foreign, unknown = await mallory.subscribe("u1"), await mallory.subscribe("u2")
                assert await alice.subscribe("u1") == {"action": "subscribed", "upload_id": "u1", "known": True}
                await alice.next()
                await node.manager.publish(event("u1", 20))
                await node.manager.publish(completed("u1"))
                await alice.next()
                await mallory.send(action="unsubscribe_upload", upload_id="u1")
                return foreign, unknown, await mallory.next()

    foreign, unknown, next_of_mallory = asyncio.run(scenario())

    assert foreign == {"action": "subscribed", "upload_id": "u1", "known": False}
    assert unknown == {"action": "subscribed", "upload_id": "u2", "known": False}
    assert next_of_mallory == {"action": "unsubscribed", "upload_id": "u1"}


def test_one_tab_unsubscribes_and_the_other_goes_on() -> None:
    async def scenario() -> tuple[list[dict[str, Any]], dict[str, Any]]:
        async with gateway() as node, browser(node, "alice") as stays, browser(node, "alice") as leaves:
            await stays.subscribe("u1")
            await leaves.send(action="unsubscribe_upload", upload_id="u1")
            first = await leaves.next()
            await node.manager.publish(event("u1", 10))
            await leaves.send(action="subscribe_upload", upload_id="u2")
            return [first, await leaves.next()], await stays.next()

    of_leaver, of_stayer = asyncio.run(scenario())

    assert [message["action"] for message in of_leaver] == ["unsubscribed", "subscribed"]
    assert of_stayer["action"] == "upload_progress"


def test_a_browser_that_returns_finds_its_subscriptions_and_the_newest_states() -> None:
    async def scenario() -> dict[str, Any]:
        async with gateway() as node:
            async with browser(node, "alice") as tab:
                await tab.subscribe("u1")
            await node.manager.publish(event("u1", 70))
            async with browser(node, "alice") as tab:
                return await tab.next()

    assert asyncio.run(scenario())["payload"]["progress_percent"] == 70


def test_when_everybody_has_left_every_table_is_empty() -> None:
    async def scenario() -> dict[str, Any]:
        async with gateway(grace_s=0.05) as node:
            async with browser(node, "alice") as one, browser(node, "alice") as two, browser(node, "bob") as three:
                for tab in (one, two, three):
                    for number in range(5):
                        await tab.subscribe(f"u{number}")
                await two.send(action="unsubscribe_upload", upload_id="u1")
            while any((tables := node.statistics()["tables"]).values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return dict(tables)

    assert not any(asyncio.run(asyncio.wait_for(scenario(), 5)).values())


def test_uploads_without_an_owner_are_counted_and_delivered_to_nobody() -> None:
    async def scenario() -> tuple[int, dict[str, Any]]:
        async with gateway(access="owner") as node, browser(node, "alice") as tab:
            await tab.subscribe("u1")
            await node.publish(Event.read(event("u1", 10)))
            await node.publish(Event.read(event("u1", 20)))
            return node.manager.counters.unowned_events, await tab.subscribe("u2")

    unowned, next_of_alice = asyncio.run(scenario())

    assert unowned == 2
    assert next_of_alice["upload_id"] == "u2"


def test_what_happens_is_told_to_whoever_listens() -> None:
    async def scenario() -> list[str]:
        async with gateway() as node:
            kinds: list[str] = []

            async def listen() -> None:
                kinds.extend([happening["kind"] async for happening in node.happenings()])

            listening = asyncio.create_task(listen())
            await asyncio.sleep(0)
            async with browser(node, "alice") as tab:
                await tab.subscribe("u1")
                await node.manager.publish(event("u1", 10))
                await tab.next()
            at_once = asyncio.Event()
            at_once.set()
            await node.stop(at_once=at_once)
            await listening
            return kinds

    assert asyncio.run(scenario()) == ["connected", "followed", "event", "disconnected", "closed", "draining"]


def test_no_write_waits_for_a_delayed_acknowledgement() -> None:
    async def scenario() -> list[int]:
        async with gateway() as node, browser(node, "alice"):
            transports = [connection.transport for connection in node.connections if connection.transport is not None]
            sockets = [transport.get_extra_info("socket") for transport in transports]
            return [peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for peer in sockets]

    assert asyncio.run(scenario()) == [1]


def test_a_fault_of_ours_costs_one_connection_and_quotes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = "canary".upper()  # so that no line of this file quotes it

    def fail(*_: object) -> None:
        raise RuntimeError(said)

    async def scenario() -> tuple[int | None, dict[str, Any], dict[str, Any]]:
        async with gateway() as node, browser(node, "alice") as unlucky, browser(node, "bob") as other:
            with monkeypatch.context() as patched:
                patched.setattr(node.manager, "follow", fail)
                await unlucky.send(action="subscribe_upload", upload_id="u1")
                code = await unlucky.close_code()
            return code, await other.subscribe("u1"), node.statistics()["tables"]

    code, answer, tables = asyncio.run(scenario())

    assert code == 1011
    assert answer["action"] == "subscribed"
    assert tables["connections"] == 1
    assert len(caplog.records) == 1
    assert said not in caplog.text


def test_many_direct_messages_at_once_are_no_offence_of_a_peer_that_takes_them() -> None:
    async def scenario() -> list[int]:
        async with gateway() as node, browser(node, "alice") as tab:
            await asyncio.gather(*(node.manager.send_to_user("alice", {"action": "news", "n": n}) for n in range(1_000)))
            return [(await tab.next())["n"] for _ in range(1_000)]

    assert asyncio.run(scenario()) == list(range(1_000))


def test_nobody_is_pinged_who_has_not_authenticated() -> None:
    said, code = asyncio.run(_said_before_the_end([], auth_timeout_s=0.5, ping_interval_s=0.1))

    assert said == [{"action": "auth_error", "message": "Authentication timeout"}]
    assert code == 4001
