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
STOP_SECONDS: Final = 0.8
_LINES_KEPT: Final = 15
_LOOK_AGAIN_SECONDS: Final = 0.01
_CHUNK: Final = 64 * 1024


class Child:
    """A daemon; whatever it says goes to our standard error."""

    def __init__(self, name: str, module: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.last_lines: deque[bytes] = deque(maxlen=_LINES_KEPT)
        self._command = (sys.executable, "-m", module, *arguments)
        self._started = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            # What functions print is shown, but our own standard output is ours.
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )
        self._started.set()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process else None

    async def forward(self) -> None:
        """Pass on what it says, until nobody can say anything any more."""
        await self._started.wait()
        process = self._process
        assert process is not None
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(_CHUNK):
            sys.stderr.buffer.write(chunk)
            sys.stderr.buffer.flush()
            *lines, rest = (rest + chunk).split(b"\n")
            self.last_lines.extend(lines)
        if rest:
            self.last_lines.append(rest)

    def ask_to_stop(self) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and whatever it started in its own process group."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        """Return when it has ended, whatever it started and left behind."""
        await self._started.wait()
        # Not `wait()`, which also waits for all who hold its end of the pipe.
        while self.is_running:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def stop(children: Sequence[Child]) -> None:
    """Ask all that run to stop, and kill what does not in time."""
    running = [child for child in children if child.is_running]
    for child in running:
        child.ask_to_stop()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            for child in running:
                await child.ended()
    except TimeoutError:
        for child in running:
            if child.is_running:
                child.kill()
        for child in running:
            await child.ended()
