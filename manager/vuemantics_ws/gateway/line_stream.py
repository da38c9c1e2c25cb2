"""A response without an end: one JSON object a line, for as long as somebody reads."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class LineStream(StreamingResponse):
    """Sends what an iterator yields, until the iterator ends or the client leaves, and closes the iterator then.

    A client that has its headers misses nothing: the iterator has been started before they are sent. One that reads slowly
    slows down the iterator and nobody else.
    """

    media_type = "application/x-ndjson"

    def __init__(self, objects: AsyncIterator[Any]) -> None:
        super().__init__(())
        self._objects = objects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Nobody notices on a quiet stream that the client has left, unless something waits for that.
        streaming = asyncio.ensure_future(self.stream_response(send))
        leaving = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((streaming, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            streaming.cancel()
            leaving.cancel()
            await asyncio.wait((streaming, leaving))
        if not leaving.cancelled():
            leaving.exception()  # a request that goes wrong once it has been answered is as good as gone
        if not streaming.cancelled():
            streaming.result()

    async def stream_response(self, send: Send) -> None:
        following = asyncio.ensure_future(self._next())
        try:
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while (said := await following) is not None:
                await send({"type": "http.response.body", "body": msgspec.json.encode(said) + b"\n", "more_body": True})
                following = asyncio.ensure_future(self._next())
        finally:
            following.cancel()
            await asyncio.wait((following,))  # an iterator that runs cannot be closed
            if close := getattr(self._objects, "aclose", None):
                await close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> Any:
        return await anext(self._objects, None)
