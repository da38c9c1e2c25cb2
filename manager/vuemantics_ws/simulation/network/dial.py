"""How a client reaches a server, whatever lies between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

RECEIVE_BUFFER_BYTES = 16 * 1024
"""What a kernel holds for a browser that reads slowly, or that is far away."""

Dial = Callable[[Callable[[], asyncio.Protocol]], Awaitable[Any]]
"""Connects a protocol to the server, as ``loop.create_connection`` does.

Raises:
    OSError: nobody answers.
"""
