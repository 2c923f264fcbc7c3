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


class _Proxy:
    def __init__(self, target_port: int, delay_s: float) -> None:
        self.target_port, self.delay_s = target_port, delay_s
        self.ready = threading.Event()

    async def serve(self) -> None:
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self.ready.set()
        async with server:
            await self.over.wait()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            await asyncio.gather(_pump(reader, back, self.delay_s), _pump(there, writer, self.delay_s),
                                 return_exceptions=True)
        except asyncio.CancelledError:
            pass  # the proxy is being closed; asyncio would report it as an error of the server's
        finally:
            back.close()
            writer.close()


@contextmanager
def delay_proxy(target_port: int, delay_s: float = ONE_WAY_S) -> Iterator[int]:
    """Run the proxy in a thread and yield its port; at the end its connections are closed."""
    proxy = _Proxy(target_port, delay_s)
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve()), daemon=True)
    thread.start()
    assert proxy.ready.wait(10)
    try:
        yield proxy.port
    finally:
        proxy.loop.call_soon_threadsafe(proxy.over.set)
        thread.join(10)
