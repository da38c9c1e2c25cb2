"""Ends uploads whose worker has fallen silent, so that nobody looks at 63 % for ever (SEMANTICS.md section 8)."""

import asyncio
import logging

from vuemantics_ws.ambient import Clock, timestamp
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.quiet import log_fault
from vuemantics_ws.messages import VERSION_NUMBER_MAX, UploadFailed, encode
from vuemantics_ws.quantities import format_duration

logger = logging.getLogger(__name__)

LOOKS = 20
"""How often an upload is looked at within the time that it may be silent."""

LOOK_EVERY_MAX_S = 1.0

LOOKED_AT_ONCE = 256
"""After so many uploads everybody else has a turn."""


class SilentUploads:
    """Publishes ``upload_failed`` for each followed upload that has heard nothing for ``stall_after_s``.

    The event has the version after the head's, so it is stale, and harmless, where the head has moved meanwhile. A worker that
    comes back opens the next attempt.
    """

    def __init__(self, manager: ConnectionManager, clock: Clock, *, stall_after_s: float) -> None:
        self._manager = manager
        self._clock = clock
        self._stall_after_s = stall_after_s

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(min(LOOK_EVERY_MAX_S, self._stall_after_s / LOOKS))
            try:
                await self.look()
            except EnvironmentUnfit as error:  # the broker is away, and another look follows
                logger.warning("a silent upload could not be ended: %s", error.message)

    async def look(self) -> None:
        """End what has been silent for too long.

        Raises:
            EnvironmentUnfit: the broker is away.
        """
        for place, (upload_id, upload) in enumerate(list(self._manager.registry.uploads.items()), 1):
            if place % LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if upload.head is not None and self._is_silent(upload.head):
                await self._end(upload_id, upload.head)

    async def _end(self, upload_id: str, head: Head) -> None:
        try:
            await self._manager.publish(self.end_of(upload_id, head))
        except EnvironmentUnfit:
            raise
        except Exception as error:  # noqa: BLE001 - one upload must not keep the others alive for ever
            log_fault(logger, "ending a silent upload", error)

    def _is_silent(self, head: Head) -> bool:
        silent_s = self._clock.monotonic() - head.accepted_at
        return not head.terminal and silent_s >= self._stall_after_s and head.version.seq < VERSION_NUMBER_MAX

    def end_of(self, upload_id: str, head: Head) -> Event:
        """The end that is presumed of an upload with this head."""
        message = UploadFailed(
            upload_id=upload_id,
            error_message=f"Nothing was heard of it for {format_duration(self._stall_after_s)}",
            timestamp=timestamp(self._clock),
            attempt=head.version.attempt,
            seq=head.version.seq + 1,
        )
        return Event.read(encode(message), presumed=True)
