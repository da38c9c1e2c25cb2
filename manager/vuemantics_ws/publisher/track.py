"""An iterable that says how far it is."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sized
from typing import Generic, TypeVar

T = TypeVar("T")


class Track(Generic[T]):
    """What was given, item by item, for ``for`` or ``async for``; ``say(percent)`` is called whenever the percent moves.

    An item is done when the next one is asked for. What the iterable raises passes through; leaving the loop early says
    nothing more.

    Args:
        total: how many items there are; None for what ``len`` says. Where nobody knows, the percent stays where it begins.
    """

    def __init__(
        self,
        items: Iterable[T] | AsyncIterable[T],
        say: Callable[[int], None],
        *,
        total: int | None,
        begins: int,
        ends: int,
    ) -> None:
        self._items = items
        self._say = say
        self._total = len(items) if total is None and isinstance(items, Sized) else total
        self._begins = begins
        self._grows = ends - begins
        self._said: int | None = None

    def __iter__(self) -> Iterator[T]:
        if not isinstance(self._items, Iterable):
            raise TypeError("expected async for: what is tracked is an asynchronous iterable")
        self._reach(0)
        for done, item in enumerate(self._items, 1):
            yield item
            self._reach(done)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Goes over a plain iterable, too; the loop then gets its turn whenever something was said, so that it can leave."""
        self._reach(0)
        if isinstance(self._items, AsyncIterable):
            done = 0
            async for item in self._items:
                yield item
                done += 1
                self._reach(done)
        else:
            for done, item in enumerate(self._items, 1):
                yield item
                if self._reach(done):
                    await asyncio.sleep(0)

    def _reach(self, done: int) -> bool:
        """Returns whether anything was said."""
        percent = self._begins
        if self._total:
            percent += self._grows * min(done, self._total) // self._total
        if percent == self._said:
            return False
        self._said = percent
        self._say(percent)
        return True
