"""``ConnectionManager()`` by itself: a registry with outboxes (SEMANTICS.md section 2)."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from tests.connection_manager.loops import run, turns
from tests.connection_manager.messages import completed, failed, note, progress, said
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.frame import Frame
from vuemantics_ws.messages import AuthSuccess


def test_a_message_goes_to_every_connection_of_every_subscriber_and_to_nobody_else() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first_tab, second_tab, other, stranger = (TextSocket() for _ in range(4))
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.connect("bob", other)
        await manager.connect("carol", stranger)
        await manager.subscribe_upload("alice", "a")
        await manager.subscribe_upload("bob", "a")

        await manager.send_to_upload_subscribers("a", progress("a", 20))

        assert [said(socket) for socket in (first_tab, second_tab, other, stranger)] == [["a 20"], ["a 20"], ["a 20"], []]

    run(main())


def test_a_message_to_a_user_reaches_all_of_the_users_connections() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first_tab, second_tab, other = TextSocket(), TextSocket(), TextSocket()
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.connect("bob", other)

        await manager.send_to_user("alice", note(1))

        assert first_tab.sent == second_tab.sent == [note(1)]
        assert other.sent == []

    run(main())


def test_what_is_sent_arrives_in_call_order_and_once_a_call_whatever_it_is() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")

        for message in (completed("a"), progress("a", 90), progress("a", 20), progress("a", 20), failed("a"), failed("a")):
            await manager.send_to_upload_subscribers("a", message)
        await manager.send_to_user("alice", note(1))

        # No judge: what is old, what comes twice and what comes after an end is delivered as it was sent.
        assert said(socket) == ["a done", "a 90", "a 20", "a 20", "a failed", "a failed", "note 1"]

    run(main())


def test_calls_that_run_at_once_lose_nothing_for_a_reader_that_keeps_up() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")

        await asyncio.gather(*(manager.send_to_upload_subscribers("a", progress("a", percent)) for percent in range(100)))
        await asyncio.gather(*(manager.send_to_user("alice", note(number)) for number in range(1_000)))

        assert said(socket) == [f"a {percent}" for percent in range(100)] + [f"note {number}" for number in range(1_000)]
        assert socket.closings == []

    run(main())


def test_a_message_of_any_size_reaches_a_reader_that_keeps_up() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)

        for number in range(3):
            await manager.send_to_user("alice", note(number, size=2 * 1024 * 1024))

        assert said(socket) == ["note 0", "note 1", "note 2"]

    run(main())


def test_when_a_verb_that_sends_returns_a_socket_that_takes_at_once_has_taken() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        sockets = [TextSocket() for _ in range(50)]
        for number, socket in enumerate(sockets):
            await manager.connect(f"user {number}", socket)
            await manager.subscribe_upload(f"user {number}", "a")

        await manager.send_to_upload_subscribers("a", progress("a", 20))
        taken = [len(socket.sent) for socket in sockets]

        assert taken == [1] * 50

    run(main())


def test_connect_accepts_nothing_and_disconnect_closes_nothing() -> None:
    class Acceptable(TextSocket):
        accepted = False

        async def accept(self) -> None:
            self.accepted = True

    async def main() -> None:
        manager = ConnectionManager()
        socket = Acceptable()

        await manager.connect("alice", socket)
        await manager.disconnect("alice", socket)

        assert not socket.accepted
        assert socket.closings == []

    run(main())


def test_unknown_users_uploads_and_sockets_are_no_error_anywhere() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket, stranger = TextSocket(), TextSocket()
        await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")

        await manager.disconnect("nobody", stranger)
        await manager.disconnect("alice", stranger)
        await manager.unsubscribe_upload("nobody", "a")
        await manager.unsubscribe_upload("alice", "nothing")
        await manager.unsubscribe_upload("alice", "a", connection=stranger)
        await manager.subscribe_upload("alice", "a", connection=stranger)
        await manager.send_to_user("nobody", note(1))
        await manager.send_to_upload_subscribers("nothing", progress("nothing", 1))

        assert manager.get_upload_subscriber_ids("nothing") == set()
        assert manager.user_subscriptions == {"alice": {"a"}}
        assert manager.user_connections == {"alice": {socket}}
        assert socket.sent == []

    run(main())


def test_connecting_twice_changes_nothing() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        await manager.connect("alice", socket)

        await manager.send_to_user("alice", note(1))
        await manager.disconnect("alice", socket)

        assert said(socket) == ["note 1"]
        assert sizes(manager) == {}

    run(main())


def test_one_socket_may_serve_two_users() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        await manager.connect("bob", socket)

        await manager.send_to_user("alice", note(1))
        await manager.send_to_user("bob", note(2))
        await manager.disconnect("alice", socket)
        await manager.send_to_user("alice", note(3))
        await manager.send_to_user("bob", note(4))

        assert said(socket) == ["note 1", "note 2", "note 4"]
        assert manager.user_connections == {"bob": {socket}}

    run(main())


def test_publishing_needs_a_broker_and_says_so() -> None:
    with pytest.raises(TypeError, match="needs a manager with a broker"):
        run(ConnectionManager().publish(progress("a", 20)))


class Picture(BaseModel):
    action: str = "picture"
    title: str


@pytest.mark.parametrize(
    ("message", "arrives"),
    [
        ({"action": "a", "n": [1, None, "ü"]}, {"action": "a", "n": [1, None, "ü"]}),
        (Picture(title="ü"), {"action": "picture", "title": "ü"}),
        (AuthSuccess(user_id="alice"), {"action": "auth_success", "user_id": "alice"}),
    ],
    ids=["mapping", "pydantic model", "one of ours"],
)
def test_a_message_is_a_mapping_a_pydantic_model_or_one_of_ours(message: Any, arrives: Any) -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")

        await manager.send_to_user("alice", message)
        await manager.send_to_upload_subscribers("a", message)

        assert socket.sent == [arrives, arrives]

    run(main())


def test_a_message_that_is_no_json_is_refused_before_anybody_gets_it() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)

        with pytest.raises(TypeError):
            await manager.send_to_user("alice", {"action": "a", "of": object()})
        await manager.send_to_user("alice", note(1))

        assert said(socket) == ["note 1"]

    run(main())


def test_the_tables_can_be_read_and_a_look_is_a_copy() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        await manager.connect("bob", TextSocket())
        await manager.subscribe_upload("alice", "a")
        await manager.subscribe_upload("carol", "a")

        manager.get_upload_subscriber_ids("a").clear()
        manager.upload_subscribers["a"].clear()
        manager.user_connections["alice"].clear()

        assert manager.get_upload_subscriber_ids("a") == {"alice", "carol"}
        assert dict(manager.upload_subscribers) == {"a": {"alice", "carol"}}
        assert dict(manager.user_subscriptions) == {"alice": {"a"}, "carol": {"a"}}
        assert list(manager.user_connections) == ["alice", "bob"]
        assert "carol" not in manager.user_connections
        assert len(manager.user_connections) == 2
        assert manager.user_connections.get("nobody", "none") == "none"
        assert repr(manager.upload_subscribers) == repr({"a": manager.get_upload_subscriber_ids("a")})

    run(main())


def test_a_look_at_one_row_does_not_walk_the_table() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        rows: dict[str, Any] = manager.registry.users
        for number in range(3):
            await manager.connect(f"user {number}", TextSocket())
        for user_id in ("user 1", "user 2"):
            rows[user_id].connections = _Untouchable()

        looked = manager.user_connections["user 0"], "user 0" in manager.user_connections

        assert len(looked[0]) == 1
        assert looked[1]

    run(main())


class _Untouchable:
    def __iter__(self) -> Any:
        raise AssertionError("nobody asked for this row")


def test_who_watches_is_told_of_connects_and_follows() -> None:
    async def main() -> None:
        told: list[tuple[str, dict[str, Any]]] = []
        manager = ConnectionManager(happened=lambda kind, fields: told.append((kind, fields)))
        socket = TextSocket()

        await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")
        await manager.unsubscribe_upload("alice", "a")
        await manager.disconnect("alice", socket)

        both = {"user_id": "alice", "upload_id": "a"}
        assert told == [
            ("connected", {"user_id": "alice"}),
            ("followed", both),
            ("gave_up", both),
            ("disconnected", {"user_id": "alice"}),
        ]

    run(main())


def test_a_message_is_encoded_once_whatever_the_number_of_its_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted(Picture):
        encodings: int = 0

        def model_dump_json(self, **options: Any) -> str:
            self.encodings += 1
            return super().model_dump_json(**options)

    async def main() -> None:
        decoded = 0
        payload = vars(Frame)["payload"]

        def counting(frame: Frame) -> bytes:
            nonlocal decoded
            decoded += 1
            return bytes(payload.fget(frame))

        manager = ConnectionManager()
        sockets = [TextSocket() for _ in range(20)]
        for number, socket in enumerate(sockets):
            await manager.connect(f"user {number % 5}", socket)
            await manager.subscribe_upload(f"user {number % 5}", "a")
        message = Counted(title="ü")
        monkeypatch.setattr(Frame, "payload", property(counting))

        await manager.send_to_upload_subscribers("a", message)
        await turns(3)

        assert [len(socket.sent) for socket in sockets] == [1] * 20
        assert message.encodings == 1
        assert decoded == 1

    run(main())
