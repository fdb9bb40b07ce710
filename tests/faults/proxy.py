"""python -m tests.faults.proxy PORT TO: forwards connections; SIGUSR1 cuts, SIGUSR2 restores."""

import asyncio
import contextlib
import signal
import sys


class Proxy:
    """Listens on one port of the loopback and forwards to another."""

    def __init__(self, port: int, to: int) -> None:
        self.port, self.to = port, to
        self.server: asyncio.Server | None = None
        self.writers: set[asyncio.StreamWriter] = set()

    async def restore(self) -> None:
        """Accepts connections."""
        if self.server is None:
            self.server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Breaks every connection and refuses new ones."""
        if self.server is not None:
            self.server.close()
            self.server = None
        for writer in self.writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        self.writers.update((writer, back))
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self.writers.difference_update((writer, back))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(port: int, to: int) -> None:
    """Serves until it is killed."""
    proxy, loop, tasks = Proxy(port, to), asyncio.get_running_loop(), list[asyncio.Task[None]]()
    loop.add_signal_handler(signal.SIGUSR1, proxy.cut)
    loop.add_signal_handler(signal.SIGUSR2, lambda: tasks.append(loop.create_task(proxy.restore())))
    await proxy.restore()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
