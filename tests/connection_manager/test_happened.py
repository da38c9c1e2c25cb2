"""Whoever watches what happens must not trouble who is watched."""

from typing import Any

import pytest

from tests.connection_manager.loops import run
from tests.connection_manager.messages import progress
from tests.connection_manager.sockets import TextSocket
from vuemantics_ws import ConnectionManager, MemoryBroker, anyone


@pytest.mark.parametrize("broker", [None, MemoryBroker()], ids=["alone", "with a broker"])
def test_a_watcher_that_raises_is_logged_and_leaves_nobody_behind(
    broker: MemoryBroker | None, caplog: pytest.LogCaptureFixture
) -> None:
    said = "canary".upper()

    def fail(kind: str, fields: dict[str, Any]) -> None:
        raise RuntimeError(said)

    async def main() -> None:
        async with ConnectionManager(broker=broker, access=anyone, happened=fail) as manager:
            socket = TextSocket()
            await manager.connect("alice", socket)
            await manager.subscribe_upload("alice", "a")
            await manager.send_to_upload_subscribers("a", progress("a", 20))
            await manager.unsubscribe_upload("alice", "a")
            await manager.disconnect("alice", socket)

            assert manager.registry.users == {}
            assert manager.registry.uploads == {}

    run(main())

    assert caplog.records
    assert said not in caplog.text
