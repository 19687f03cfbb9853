"""The two daemons of `jobs-grpc dev`, as child processes.

They run in process groups of their own, so that Ctrl-C reaches only us and we decide the
order of things. Their last lines are kept, to be repeated when one dies. At the end both
are asked to stop at once; what has not after a moment is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

# Of the second that Ctrl-C may take.
STOP_SECONDS: Final = 0.7
_LINES_KEPT: Final = 15
_CHUNK: Final = 64 * 1024


class Child:
    """A daemon whose standard error goes to ours."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.last_lines: deque[bytes] = deque(maxlen=_LINES_KEPT)
        self._process = process

    @classmethod
    async def start(cls, name: str, module: str, arguments: Sequence[str]) -> Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        return cls(name, process)

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def forward(self) -> int:
        """Pass on what it says until it ends; return its exit code."""
        assert self._process.stderr is not None
        rest = b""
        while chunk := await self._process.stderr.read(_CHUNK):
            sys.stderr.buffer.write(chunk)
            sys.stderr.buffer.flush()
            *lines, rest = (rest + chunk).split(b"\n")
            self.last_lines.extend(lines)
        if rest:
            self.last_lines.append(rest)
        return await self._process.wait()

    def ask_to_stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and whatever it started in its own process group."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        return await self._process.wait()


async def stop(children: Sequence[Child]) -> None:
    """Ask all to stop, and kill what does not in time."""
    for child in children:
        child.ask_to_stop()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            for child in children:
                await child.wait()
    except TimeoutError:
        for child in children:
            child.kill()
        for child in children:
            await child.wait()
