"""A host on which workers run: in this process, or in one of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.worker import WorkerSettings
from jobs_grpc.worker.daemon import Daemon
from jobs_grpc.worker.functions.catalogue import load
from jobs_grpc.worker.keeper_link import KeeperLink
from support.fake_leader import FakeLeader

PATIENCE_SECONDS = 10.0


class Host:
    """One data directory, and the workers that serve it one after another."""

    def __init__(self, leader: FakeLeader, data: Path) -> None:
        self.leader = leader
        self.data = data
        self.daemon: Daemon | None = None
        self._running: asyncio.Task[None] | None = None
        self._programs: list[asyncio.subprocess.Process] = []

    async def start(self, *functions: Callable[..., Any], **settings: Any) -> Daemon:
        """Start a worker in this process, and wait until the leader has it."""
        made = WorkerSettings(
            **{
                "addr": self.leader.address,
                "data": self.data,
                "name": "a-host",
                **settings,
            }
        )
        before = self.leader.connections
        self.daemon = Daemon(
            made,
            load(made.functions, functions),
            backoff=Backoff(initial=0.01, cap=0.05),
        )
        self._running = asyncio.ensure_future(self.daemon.run())
        await self.leader.until(lambda: self.leader.connections > before)
        return self.daemon

    async def stop(self) -> float:
        """Stop the worker in order; return how long that took."""
        assert self.daemon is not None
        assert self._running is not None
        began = time.monotonic()
        self.daemon.stop()
        await self._running
        self._running = None
        return time.monotonic() - began

    async def spawn(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """Start a worker as the program that it is, and wait until the leader has it."""
        before = self.leader.connections
        program = await self.launch(*arguments, environment=environment)
        await self.leader.until(lambda: self.leader.connections > before)
        return program

    async def launch(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        """Start a worker as the program that it is."""
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "jobs_grpc.worker", "--addr", self.leader.address),
            *("--data", str(self.data), *arguments),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        self._programs.append(program)
        return program

    async def clear(self) -> None:
        """End what runs, and see that nothing is left."""
        if self._running is not None:
            await self.stop()
        for program in self._programs:
            if program.returncode is None:
                program.kill()
            await program.communicate()
        if self.processes():
            link = await KeeperLink.open(self.data / "keeper")
            await link.shutdown(kill=True)
            await link.lost.wait()
        await gone(lambda: not self.processes())

    def processes(self) -> list[int]:
        """Return the keeper and the jobs of this host."""
        mark = str(self.data).encode()
        found = []
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and int(path.name) != os.getpid():
                with contextlib.suppress(OSError):
                    told = (path / "cmdline").read_bytes()
                    if mark in told + (path / "environ").read_bytes():
                        found.append(int(path.name))
        return found

    def keeper(self) -> int:
        """Return the process id of the keeper."""
        return int((self.data / "keeper" / "keeper.lock").read_text())


async def gone(is_gone: Callable[[], bool]) -> None:
    """Wait for something outside of this process to be gone."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_gone():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def kill(pid: int) -> None:
    """End a process as a power cut does."""
    os.kill(pid, signal.SIGKILL)
