"""A TCP proxy on 127.0.0.1 that delivers every byte later: a stand-in for the distance to Binder.

A process of its own (`python delay_proxy.py PORT`), so that it takes no time from the test that measures.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ONE_WAY_S = 0.05


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
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
        waiting.put_nowait((loop.time() + ONE_WAY_S, data))
    await delivering


async def _serve(target_port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target_port)
        await asyncio.gather(_pump(reader, back), _pump(there, writer), return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def delay_proxy(target_port: int) -> Iterator[int]:
    """Run the proxy and yield its port."""
    with subprocess.Popen([sys.executable, __file__, str(target_port)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
