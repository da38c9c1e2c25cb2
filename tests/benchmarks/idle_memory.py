"""What an idle, authenticated, subscribed connection costs in resident memory.

    python -m tests.benchmarks.idle_memory [connections]

Method: a gateway in its own process, told by browsers' handshakes; every connection is another user who follows another
upload, the dearest case there is. Resident memory of the gateway's process after all have subscribed, less that before, over
their number. The kernel's socket buffers are not in it.
"""

import asyncio
import gc
import platform
import sys

from tests.benchmarks.node import BareClient, Node, node


async def connect(target: Node, numbers: range) -> list[BareClient]:
    loop = asyncio.get_running_loop()
    clients: list[BareClient] = []
    for first in range(numbers.start, numbers.stop, 100):
        batch = []
        for number in range(first, min(first + 100, numbers.stop)):
            upload_id = f"{number:08x}-0000-4000-8000-000000000000"
            client = BareClient(f"user-{number:08}", upload_id)
            await loop.create_connection(lambda client=client: client, "127.0.0.1", target.port)  # type: ignore[misc]
            batch.append(client)
        await asyncio.gather(*(client.subscribed for client in batch))
        clients += batch
    return clients


async def _measure(target: Node, count: int) -> float:
    gc.disable()  # our own objects are not measured, and need not be looked through
    warm = await connect(target, range(100))
    before = target.memory_bytes()
    clients = await connect(target, range(100, 100 + count))
    after = target.memory_bytes()
    for client in [*warm, *clients]:
        client.transport.abort()
    return (after - before) / count


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"machine: {platform.platform()}, Python {platform.python_version()}")
    for uvloop in ("on", "off"):
        with node(uvloop=uvloop, ping_interval="300s", silence_timeout="300s") as target:
            each = asyncio.run(_measure(target, count))
        print(f"uvloop {uvloop:3}: {count} connections, {each / 1024:.2f} KiB each")


if __name__ == "__main__":
    main()
