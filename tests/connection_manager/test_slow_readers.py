"""What waits for a connection that does not keep up, and when it is given up."""

import asyncio
import itertools
from typing import Any

import pytest

from tests.connection_manager.loops import run, turns
from tests.connection_manager.messages import completed, failed, note, progress, said
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import encode

MIB = 1024 * 1024


async def stalled(manager: ConnectionManager, user_id: str = "alice") -> TextSocket:
    """A socket that has begun a send and does not end it, so that everything after it waits."""
    socket = TextSocket()
    await manager.connect(user_id, socket)
    socket.stop_reading()
    await manager.send_to_user(user_id, note(0))
    assert socket.sends_begun == 1
    return socket


async def what_it_gets(socket: TextSocket) -> list[str]:
    """Everything that waited, once the peer reads again; less the note that it stalled on."""
    socket.read_again()
    await turns(2)
    assert said(socket)[0] == "note 0"
    return said(socket)[1:]


def test_newer_progress_replaces_older_for_a_reader_that_does_not_keep_up() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        await manager.subscribe_upload("alice", "a")

        for percent in range(1_000):
            await manager.send_to_upload_subscribers("a", progress("a", percent % 100))

        assert await what_it_gets(slow) == ["a 99"]
        assert slow.closings == []

    run(main())


def test_progress_is_replaced_in_its_place_in_the_line() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        for upload_id in "ab":
            await manager.subscribe_upload("alice", upload_id)

        await manager.send_to_upload_subscribers("a", progress("a", 10))
        await manager.send_to_user("alice", note(1))
        await manager.send_to_upload_subscribers("b", progress("b", 10))
        await manager.send_to_upload_subscribers("a", progress("a", 20))
        await manager.send_to_upload_subscribers("a", note(2))
        await manager.send_to_upload_subscribers("b", progress("b", 5))

        assert await what_it_gets(slow) == ["a 20", "note 1", "b 5", "note 2"]

    run(main())


def test_progress_is_never_replaced_across_an_end() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        await manager.subscribe_upload("alice", "a")

        for message in (
            progress("a", 10),
            progress("a", 90),
            completed("a"),
            progress("a", 0),
            progress("a", 20),
            failed("a"),
            completed("a"),
            progress("a", 1),
        ):
            await manager.send_to_upload_subscribers("a", message)

        assert await what_it_gets(slow) == ["a 90", "a done", "a 20", "a failed", "a done", "a 1"]

    run(main())


def test_progress_that_names_no_upload_is_that_of_the_upload_it_is_sent_for() -> None:
    def nameless(percent: int) -> dict[str, Any]:
        return {"action": "upload_progress", "payload": {"progress_percent": percent}}

    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        for upload_id in "ab":
            await manager.subscribe_upload("alice", upload_id)

        await manager.send_to_upload_subscribers("a", nameless(10))
        await manager.send_to_upload_subscribers("b", nameless(11))
        await manager.send_to_upload_subscribers("a", nameless(20))
        await manager.send_to_upload_subscribers("a", {"action": "upload_completed"})
        await manager.send_to_upload_subscribers("a", nameless(30))
        await manager.send_to_user("alice", nameless(40))
        await manager.send_to_user("alice", nameless(50))
        slow.read_again()
        await turns(2)

        percents = [message.get("payload", {}).get("progress_percent") for message in slow.sent[1:]]
        assert percents == [20, 11, None, 30, 40, 50]

    run(main())


def test_a_reader_that_catches_up_loses_nothing_from_then_on() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        await manager.subscribe_upload("alice", "a")
        await manager.send_to_upload_subscribers("a", progress("a", 1))
        await manager.send_to_upload_subscribers("a", progress("a", 2))
        assert await what_it_gets(slow) == ["a 2"]

        await asyncio.gather(*(manager.send_to_upload_subscribers("a", progress("a", percent)) for percent in range(3, 9)))

        assert said(slow)[2:] == [f"a {percent}" for percent in range(3, 9)]

    run(main())


def test_the_256th_message_waits_and_the_257th_closes_the_socket_with_4008() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        await manager.subscribe_upload("alice", "a")
        for number in range(1, 257):
            await manager.send_to_user("alice", note(number))
        for percent in range(100):
            await manager.send_to_upload_subscribers("a", progress("a", percent))  # takes no place of the 256
        kept = list(manager.user_connections["alice"])

        await manager.send_to_user("alice", note(257))
        await turns(1)

        assert kept == [slow]
        assert slow.closings == [(4008, "too many messages wait")]
        assert slow.cancelled_sends == 1
        assert slow.sent == []
        assert sizes(manager) == {}
        assert manager.counters.closes == {4008: 1}

    run(main())


def test_256_messages_wait_and_arrive_when_the_peer_reads_again() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        for number in range(1, 257):
            await manager.send_to_user("alice", note(number))

        assert await what_it_gets(slow) == [f"note {number}" for number in range(1, 257)]

    run(main())


@pytest.mark.parametrize(("excess", "kept"), [(0, True), (1, False)])
def test_one_mebibyte_waits_and_one_byte_more_closes_the_socket(excess: int, kept: bool) -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        header = 10  # of a frame over 64 KiB, RFC 6455 section 5.2
        around = len(encode(note(1)))
        await manager.send_to_user("alice", note(1, size=MIB // 2 - header - around))

        await manager.send_to_user("alice", note(2, size=MIB // 2 - header - around + excess))
        connected = bool(manager.user_connections)
        slow.read_again()
        await turns(2)

        assert connected is kept
        assert len(slow.sent) == (3 if kept else 0)
        assert slow.closings == ([] if kept else [(4008, "too many messages wait")])

    run(main())


def test_ends_count_and_are_never_dropped_to_make_room() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        await manager.subscribe_upload("alice", "a")

        for _ in range(256):
            await manager.send_to_upload_subscribers("a", completed("a"))
        before = list(slow.closings)
        await manager.send_to_upload_subscribers("a", failed("a"))
        await turns(1)

        assert before == []
        assert slow.closings == [(4008, "too many messages wait")]

    run(main())


def test_progress_of_ever_new_uploads_is_bounded_too() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)

        for number in itertools.count():
            await manager.send_to_user("alice", progress(f"upload {number}", 20))
            if not manager.user_connections:
                break
            assert number < 5_000

        assert slow.closings == [(4008, "too many messages wait")]

    run(main())


def test_who_follows_the_maximum_is_never_closed_for_progress() -> None:
    async def main() -> None:
        manager = ConnectionManager(limits=Limits(uploads_per_user_max=20))
        slow = await stalled(manager)
        uploads = [f"upload {number}" for number in range(20)]
        for upload_id in uploads:
            await manager.subscribe_upload("alice", upload_id)

        for round_number in range(12):  # 240 ends, with progress on either side of each
            for upload_id in uploads:
                await manager.send_to_upload_subscribers(upload_id, progress(upload_id, round_number))
                await manager.send_to_upload_subscribers(upload_id, progress(upload_id, round_number + 1))
                await manager.send_to_upload_subscribers(upload_id, completed(upload_id))

        assert slow.closings == []
        assert len(await what_it_gets(slow)) == 12 * 20 * 2

    run(main())


def test_a_close_that_never_ends_keeps_nobody_waiting() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        loop = asyncio.get_running_loop()
        slow = await stalled(manager)
        slow.close_hangs = True
        for number in range(1, 257):
            await manager.send_to_user("alice", note(number))

        begun_at = loop.time()
        await manager.send_to_user("alice", note(257))
        dropped_at = loop.time()
        left = sizes(manager)
        await asyncio.sleep(1.0)

        assert left == {}
        assert dropped_at == begun_at
        assert slow.closings == [(4008, "too many messages wait")]

    run(main())


def test_a_send_that_takes_nothing_for_the_stall_timeout_ends_the_connection() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow, other = await stalled(manager), TextSocket()
        await manager.connect("alice", other)

        await asyncio.sleep(29.9)
        before = set(manager.user_connections["alice"])
        await asyncio.sleep(0.2)

        assert before == {slow, other}
        assert manager.user_connections == {"alice": {other}}
        assert slow.closings == [(4008, "took nothing for too long")]
        assert manager.counters.closes == {4008: 1}

    run(main())


def test_being_slow_is_no_offence() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        for number in range(1, 4):
            await manager.send_to_user("alice", note(number))

        for _ in range(3):  # each send takes nearly the whole stall timeout
            await asyncio.sleep(29.0)
            slow.read_again()
            slow.stop_reading()
            await turns(2)
        slow.read_again()
        await turns(2)

        assert said(slow) == ["note 0", "note 1", "note 2", "note 3"]
        assert slow.closings == []

    run(main())


def test_conflation_is_counted() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = await stalled(manager)
        await manager.subscribe_upload("alice", "a")
        for percent in range(10):
            await manager.send_to_upload_subscribers("a", progress("a", percent))

        await manager.disconnect("alice", slow)

        assert manager.counters.conflated == 9

    run(main())
