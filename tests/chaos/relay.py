"""A TCP relay that can misbehave: the network between a worker and its server.

As a program (`python -m chaos.relay LISTEN TO`, each HOST:PORT) it only passes on; that is
the end of a link inside a network namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

_CHUNK: Final = 65_536
_SLOW_SECONDS: Final = 0.2


class Relay:
    """Passes connections on to an address, as `mode` says.

    "pass"; "cut" (every connection is reset, new ones too); "stall" (nothing is read any
    more, nobody is told); "deaf" (only the way to the server stalls); "slow" (200 ms and
    at most 64 KiB at a time).
    """

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._mode = "pass"
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; return the address."""
        self._server = await asyncio.start_server(self._accept, host, port)
        found = self._server.sockets[0].getsockname()
        return f"{found[0]}:{found[1]}"

    def set(self, mode: str) -> None:
        """Behave so from now on."""
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "cut":
            for writer in tuple(self._writers):
                writer.transport.abort()

    async def close(self) -> None:
        self.set("cut")
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        ways = (
            self._pass(reader, far_writer, is_upward=True),
            self._pass(far_reader, writer, is_upward=False),
        )
        for way in ways:
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_upward: bool,
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                while self._mode == "stall" or (self._mode == "deaf" and is_upward):
                    await self._changed.wait()
                if self._mode == "slow":
                    await asyncio.sleep(_SLOW_SECONDS)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


async def _main(listen: str, to: str) -> None:
    host, _, port = to.rpartition(":")
    relay = Relay(host, int(port))
    host, _, port = listen.rpartition(":")
    await relay.open(host, int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(sys.argv[1], sys.argv[2]))
