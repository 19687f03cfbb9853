"""A keeper of its own for a test, and the questions tests ask about it."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs_grpc.worker.keeper.processes.tree import (
    environment,
    everyone,
    look,
)
from jobs_grpc.worker.keeper.protocol import Exited, Started, StartRequest
from jobs_grpc.worker.keeper.record import ExitRecord
from jobs_grpc.worker.keeper.spool import (
    Frame,
    Stream,
)
from jobs_grpc.worker.keeper.spool_reader import (
    SpoolReader,
)
from jobs_grpc.worker.keeper_link import KeeperError, KeeperLink

# Far beyond what anything here takes, even on a busy machine.
PATIENCE_SECONDS = 30.0
FENCES = itertools.count(1)
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


class House:
    """One keeper's root directory, and everything that was started in it."""

    def __init__(self, root: Path, files: Path, *, is_shared: bool = False) -> None:
        self.root = root
        self.files = files
        self._is_shared = is_shared
        self._links = AsyncExitStack()
        self._fences = FENCES if is_shared else itertools.count(1)

    async def open(self, *, idle_exit_seconds: float = 60.0) -> KeeperLink:
        """Connect to the keeper, which is started if need be."""
        link = await KeeperLink.open(self.root, idle_exit_seconds=idle_exit_seconds)
        self._links.push_async_callback(link.close)
        return link

    def request(self, *argv: str, **changes: Any) -> StartRequest:
        """Return a start request with a fence of its own."""
        fence = next(self._fences)
        request = StartRequest(
            fence=fence,
            argv=argv,
            env=ENVIRONMENT,
            cwd=str(self.files),
            marker=f"JOBS_FENCE={fence}",
            linger_seconds=0.3,
        )
        return replace(request, **changes)

    def script(self, text: str, **changes: Any) -> StartRequest:
        """Return a start request for a shell script."""
        return self.request("/bin/sh", "-c", text, **changes)

    async def run(self, link: KeeperLink, request: StartRequest) -> ExitRecord:
        """Start an attempt and return how it ended."""
        started = await link.start(request)
        assert isinstance(started, Started), started
        return await self.end_of(link, request.fence)

    async def end_of(self, link: KeeperLink, fence: int) -> ExitRecord:
        """Wait for the end of an attempt."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in link.events():
                if isinstance(event, Exited) and event.fence == fence:
                    return event.record
        raise AssertionError("the keeper was lost")

    async def until_output(self, link: KeeperLink, fence: int, text: bytes) -> None:
        """Wait until the output of an attempt contains a text."""
        if text in self.output(fence):
            return
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for _ in link.events():
                if text in self.output(fence):
                    return
        raise AssertionError("the keeper was lost")

    def frames(self, fence: int) -> list[Frame]:
        """Return the spool of an attempt."""
        reader = SpoolReader(self.root / "attempts" / str(fence) / "spool")
        try:
            return list(reader)
        finally:
            reader.close()

    def output(self, fence: int, *streams: Stream) -> bytes:
        """Return the output of an attempt, of all streams unless some are named."""
        return b"".join(
            frame.payload
            for frame in self.frames(fence)
            if not streams or frame.stream in streams
        )

    def processes(self, fence: int | None = None) -> list[str]:
        """Return what lives of an attempt, or of all, by looking at every process."""
        return [f"{pid} {name}" for pid, name in self._processes(fence)]

    def is_served(self) -> bool:
        """Whether a keeper listens."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.root / "keeper.sock")) == 0

    async def leave(self) -> None:
        """Check that nothing is left; stop the keeper unless others use it."""
        await self._links.aclose()
        if self._is_shared:
            await self._end_attempts()
        else:
            await self.stop_keeper()
        assert self.processes() == []

    async def _end_attempts(self) -> None:
        link = await KeeperLink.open(self.root)
        for fence in [each.fence for each in await link.list()]:
            await link.cancel(fence, "the test is over", grace_seconds=0.0)
            await until_state(link, fence, "ended")
            await link.forget(fence)
        await link.close()

    async def stop_keeper(self) -> None:
        """Make the keeper end whatever it runs, and leave."""
        with suppress(KeeperError):
            link = await KeeperLink.open(self.root, idle_exit_seconds=0.1)
            process = os.pidfd_open(link.welcome.pid)
            await link.shutdown(kill=True)
            await link.lost.wait()
            await exited(process)

    def _processes(self, fence: int | None) -> Iterator[tuple[int, str]]:
        try:
            badge = f"JOBS_KEEPER={(self.root / 'id').read_text().strip()}".encode()
        except FileNotFoundError:
            return
        marker = f"JOBS_FENCE={fence}".encode()
        for pid in everyone():
            items = environment(pid)
            process = look(pid) if badge in items else None
            if process is None or not process.is_alive:
                continue
            if fence is None or marker in items:
                yield pid, process.name


async def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact that nobody announces."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not fact():  # noqa: ASYNC110 - the system has no event for it
            await asyncio.sleep(0.005)


async def until_state(link: KeeperLink, fence: int, *states: str) -> None:
    """Wait until the keeper lists an attempt in one of these states."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            listed = {each.fence: each.state for each in await link.list()}
            if listed.get(fence) in states:
                return


async def exited(descriptor: int) -> None:
    """Wait until the process of a pidfd has exited; close the descriptor."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    try:
        await until(lambda: bool(poller.poll(0)))
    finally:
        os.close(descriptor)


def peak_memory_kb(pid: int) -> int:
    """Return the largest resident size that a process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("the process is gone")


def is_alive(pid: int) -> bool:
    """Whether a process lives."""
    process = look(pid)
    return process is not None and process.is_alive
