"""Live tables on a terminal: drawn anew for a frame, a key or a new size, and for nothing else."""

import asyncio
import contextlib
import random
import signal
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.live import Live

from vuemantics_ws.ambient import Clock
from vuemantics_ws.client.control import Control, Scope
from vuemantics_ws.errors import BadSetting, EnvironmentUnfit, Refused
from vuemantics_ws_cli.console import size_of
from vuemantics_ws_cli.views.amounts import age
from vuemantics_ws_cli.views.watching import screen
from vuemantics_ws_cli.watching.browsing import Browsing, Query, Shown
from vuemantics_ws_cli.watching.frames import Gone, frames
from vuemantics_ws_cli.watching.terminal import Keyboard, signals, suspend

ROWS_MAX = 500
"""What one page may hold."""

REMIND_S = 1.0
"""How often the tables say for how long the server has been gone."""


class LiveTables:
    """Tables of one server for one person, until they leave.

    ``limit`` is how many rows they want at most, None for what the terminal has room for.
    """

    def __init__(
        self,
        control: Control,
        browsing: Browsing,
        *,
        console: Console,
        clock: Clock,
        dice: random.Random,
        scope: Scope,
        limit: int | None,
        every_s: float,
        count: int | None,
    ) -> None:
        self._control = control
        self._browsing = browsing
        self._console = console
        self._clock = clock
        self._dice = dice
        self._scope = scope
        self._limit = limit
        self._every_s = every_s
        self._left = count
        self._frame: dict[str, Any] = {}
        self._shown = browsing.query
        self._framed_at = 0.0
        self._gone: EnvironmentUnfit | Refused | None = None
        self._rows = 1
        self._live: Live | None = None
        self._suspending = False
        self._changed = asyncio.Event()
        self._keyboard = Keyboard(self._pressed, self._leave)

    async def run(self) -> None:
        """Show tables until a key, a signal or the last frame ends it. The terminal is then as it was.

        Raises:
            BadSetting: the server does not understand the filter or the sort that this began with.
            EnvironmentUnfit, Refused: there was no server from the beginning.
        """
        await self._await_first()
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._leave)
        handlers[signal.SIGWINCH] = self._resized
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:  # whoever started us may not want to be left alone
            handlers[signal.SIGTSTP] = self._suspend
        with signals(handlers):
            while not self._browsing.over:
                if self._suspending:
                    self._suspending = False
                    suspend()
                live = Live(
                    console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
                )
                with self._keyboard.listening(), live:
                    self._live = live
                    await self._follow()
                    self._live = None

    async def _await_first(self) -> None:
        query = self._browsing.query
        async with contextlib.aclosing(self._asked(query, keep_trying=False)) as asked:
            frame = await anext(asked)
        assert isinstance(frame, dict)
        self._note(frame, query)

    async def _follow(self) -> None:
        """Read frames for what is wanted, and begin anew whenever that changes."""
        reminding = asyncio.ensure_future(self._remind())
        self._draw()
        try:
            while not (self._browsing.over or self._suspending):
                self._changed.clear()
                reading = asyncio.ensure_future(self._read(self._browsing.query))
                changing = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    reading.cancel()
                    changing.cancel()
                    await asyncio.wait((reading, changing))
                if not reading.cancelled():
                    reading.result()
        finally:
            reminding.cancel()
            await asyncio.wait((reminding,))

    async def _read(self, query: Query) -> None:
        if self._browsing.paused and query == self._shown:
            return await _forever()
        try:
            async with contextlib.aclosing(self._asked(query, keep_trying=True)) as asked:
                async for said in asked:
                    if isinstance(said, Gone):
                        self._gone = said.because
                        self._draw()
                        continue
                    self._note(said, query)
                    self._draw()
                    if self._browsing.paused:
                        await _forever()
        except BadSetting as error:
            if query == self._shown:
                raise
            complaint = f"{error.message}: {error.hint}" if error.hint else error.message
            self._change(self._browsing.refuse(complaint, self._shown))

    def _asked(self, query: Query, *, keep_trying: bool) -> Any:
        return frames(
            self._control,
            query,
            scope=self._scope,
            limit=self._rows_wanted(),
            every_s=self._every_s,
            dice=self._dice,
            keep_trying=keep_trying,
        )

    def _rows_wanted(self) -> int:
        return self._limit or min(ROWS_MAX, max(1, self._console.height))

    def _note(self, frame: dict[str, Any], query: Query) -> None:
        self._frame, self._shown = frame, query
        self._framed_at = self._clock.monotonic()
        self._gone = None
        if self._live is None:
            return  # the first one only shows that there is a server
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._leave()
        if query.offset and not any(page["rows"] for page in frame["views"]):
            self._change(self._browsing.within(self._place()))

    def _place(self) -> Shown:
        rows = min(self._rows, self._limit or self._rows)
        return Shown(rows, max(page["matched"] for page in self._frame["views"]))

    def _draw(self) -> None:
        if self._live is None:
            return
        at = datetime.fromtimestamp(self._frame["at"], UTC).astimezone()
        drawn = screen(
            self._frame,
            self._browsing,
            at=at,
            size=size_of(self._console),
            trouble=self._trouble(),
            keyboard=self._keyboard.there,
        )
        self._rows = drawn.rows
        self._live.update(drawn.view, refresh=True)

    def _trouble(self) -> str:
        if self._gone is None:
            return ""
        for_s = self._clock.monotonic() - self._framed_at
        since = datetime.fromtimestamp(self._clock.wall() - for_s, UTC).astimezone()
        return f"no server since {since:%H:%M:%S} ({age(for_s)} ago), still trying: {self._gone.message}"

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(REMIND_S)
            if self._gone is not None:
                self._draw()

    def _pressed(self, keys: list[str]) -> None:
        browsing = self._browsing
        for key in keys:
            browsing = browsing.press(key, self._place())
        self._change(browsing)

    def _change(self, browsing: Browsing) -> None:
        """Show where the person is now, and read anew if that takes other frames."""
        before, self._browsing = self._browsing, browsing
        if (before.query, before.paused, before.over) != (browsing.query, browsing.paused, browsing.over):
            self._changed.set()
        if browsing != before:
            self._draw()

    def _leave(self) -> None:
        self._change(self._browsing.leave())

    def _suspend(self) -> None:
        self._suspending = True
        self._changed.set()

    def _resized(self) -> None:
        self._draw()
        self._changed.set()


async def _forever() -> None:
    await asyncio.Event().wait()
