"""Ends a process that would outlive us where we are killed: one that heeds no pipe, or cannot because it stands still."""

import asyncio


class Guard:
    """Watches over one process at a time. It holds a pipe from us, and kills the process when that breaks."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def watch(self, pid: int) -> None:
        """From now on over this one, and over no other."""
        self.dismiss()
        self._process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", f"read line; kill -9 {pid} 2>/dev/null"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """It goes, and does nothing any more: the process has ended, is about to, or looks after itself again."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def gone(self) -> None:
        """Dismiss it, and return once nothing is left of it."""
        self.dismiss()
        if self._process is not None:
            await self._process.wait()
