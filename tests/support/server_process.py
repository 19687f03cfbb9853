"""The server as a process of its own, to be killed and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from support.calls import Calls

PATIENCE = 30.0
_LISTENING = re.compile(r"listening on (\S+), ")


def environment() -> dict[str, str]:
    """Return this process's variables without those that settings come from."""
    kept = ("JOBS_GRPC_", "OTEL_")
    return {key: text for key, text in os.environ.items() if not key.startswith(kept)}


def arguments(data: Path, *more: str, addr: str = "127.0.0.1:0") -> list[str]:
    module = "jobs_grpc.controlplane"
    return [
        *(sys.executable, "-m", module),
        *("--data", str(data), "--addr", addr, *more),
    ]


def run_to_end(
    data: Path, *more: str, addr: str = "127.0.0.1:0"
) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to give up."""
    return subprocess.run(
        arguments(data, *more, addr=addr),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class ServerProcess:
    """A running server and what it writes to its log."""

    def __init__(self, data: Path, *more: str, addr: str = "127.0.0.1:0") -> None:
        self.data = data
        self.process = subprocess.Popen(
            arguments(data, *more, addr=addr),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._queue: Queue[str] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self.line(_LISTENING).group(1)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line)

    def line(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait for a line of the log."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.lines:
                if match := pattern.search(line):
                    return match
            try:
                line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise AssertionError(
                    f"no {pattern.pattern!r} in {self.lines}"
                ) from None
            self.lines.append(line)

    def kill(self) -> None:
        """End it as a power cut would, but for the disk."""
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def terminate(self) -> tuple[int, float]:
        """Ask it to end; return its exit code and how many seconds it took."""
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE)
        took = time.monotonic() - began
        self._end()
        return code, took

    def _end(self) -> None:
        self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        while not self._queue.empty():
            self.lines.append(self._queue.get())
        if self.process.stderr is not None:
            self.process.stderr.close()

    def calls(self) -> Calls:
        return Calls(self.address)


@contextmanager
def serving(
    data: Path, *more: str, addr: str = "127.0.0.1:0"
) -> Iterator[ServerProcess]:
    """Serve until the end of the context, however it comes."""
    server = ServerProcess(data, *more, addr=addr)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
