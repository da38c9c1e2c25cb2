"""Frames of a running server, one after the other, and what happens when it goes away meanwhile."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from itertools import chain, repeat
from typing import Any, NamedTuple

from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.client.control import Control, Scope
from vuemantics_ws.errors import EnvironmentUnfit, Refused
from vuemantics_ws_cli.watching.browsing import ASKED, Query

_BACKOFF = Backoff(initial_s=0.25, max_s=5.0, jitter_s=0.25)


class Gone(NamedTuple):
    """The server does not answer, and the next try comes after a pause."""

    because: EnvironmentUnfit | Refused
    pause_s: float


async def frames(
    control: Control, query: Query, *, scope: Scope, limit: int, every_s: float, dice: random.Random, keep_trying: bool
) -> AsyncGenerator[dict[str, Any] | Gone, None]:
    """Every frame, for as long as it is asked. Use it under :func:`contextlib.aclosing`.

    Once the server has been reached it may go away: each try that fails is told, and the pauses grow up to some seconds.
    With ``keep_trying`` it may be away from the beginning.

    Raises:
        BadSetting: the server does not understand the filter or the sort.
        EnvironmentUnfit, Refused: there is no such server at the beginning.
    """
    pauses = _pauses(dice)
    while True:
        try:
            asked = control.frames(
                ASKED[query.view],
                filter=query.filter,
                sort=query.sort,
                limit=limit,
                offset=query.offset,
                every_s=every_s,
                scope=scope,
            )
            async with contextlib.aclosing(asked):
                async for frame in asked:
                    keep_trying, pauses = True, _pauses(dice)
                    yield frame
            raise EnvironmentUnfit("the server said goodbye")
        except (EnvironmentUnfit, Refused) as error:
            if not keep_trying:
                raise
            pause_s = next(pauses)
            yield Gone(error, pause_s)
            await asyncio.sleep(pause_s)


def _pauses(dice: random.Random) -> chain[float]:
    return chain(_BACKOFF.delays(dice), repeat(_BACKOFF.max_s))
