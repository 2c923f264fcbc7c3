"""A TCP proxy on 127.0.0.1 that delivers every byte later: a stand-in for the distance to Binder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ONE_WAY_S = 0.05


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay_s: float) -> None:
    """Copy until the end; what is read waits in a queue, so the delay adds no limit to the rate."""
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def deliver() -> None:
        while True:
            due_s, data = await waiting.get()
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if not data:
                sink.close()
                return
            sink.write(data)

    delivering = asyncio.create_task(deliver())
    data = b"first"
    while data:
        try:
            data = await source.read(65536)
        except OSError:
            data = b""
        waiting.put_nowait((loop.time() + delay_s, data))
    await delivering


@contextmanager
def delay_proxy(target_port: int, delay_s: float = ONE_WAY_S) -> Iterator[int]:
    """Run the proxy in a thread and yield its port."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    found: list[int] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target_port)
        await asyncio.gather(_pump(reader, back, delay_s), _pump(there, writer, delay_s), return_exceptions=True)

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        found.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
