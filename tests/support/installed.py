"""The product as a user has it: real processes, started through the CLI."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from support.cli import jobs_grpc

T = TypeVar("T")
CLI = (sys.executable, "-m", "jobs_grpc.client.cli")
# For waiting on facts of real processes; reached only when something is broken.
PATIENCE = 30.0


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(fact: Callable[[], T | None], what: str, *, patience: float = PATIENCE) -> T:
    """Return what `fact` gives once it gives something true."""
    deadline = time.monotonic() + patience
    while True:
        found = fact()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def processes_with(marker: str) -> list[int]:
    """Return the living processes that have this in their environment or arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marker.encode() in text and state != "Z":
            found.append(int(entry.name))
    return found


@dataclass(slots=True)
class Installed:
    """A data directory, an address, and whatever was started on them."""

    root: Path
    address: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("JOBS_GRPC_")}
        return {**kept, "JOBS_GRPC_ADDR": self.address}

    def cli(
        self, *arguments: str, code: int | None = 0, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the CLI to its end; `code` is the exit code it must have."""
        ended = subprocess.run(
            [*CLI, *arguments],
            env=self.environment,
            cwd=self.root,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        if code is not None:
            assert ended.returncode == code, f"{ended.stdout}\n{ended.stderr}"
        return ended

    def json(self, *arguments: str) -> Any:
        """Return what a command prints as JSON.

        In this process: tests ask again and again, and starting a program costs half a
        second of a core.
        """
        ended = jobs_grpc(*arguments, "-o", "json", addr=self.address)
        assert ended.code == 0, f"{ended.out}\n{ended.err}"
        return ended.json()

    def start(
        self, *arguments: str, log: str, extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a daemon through the CLI."""
        with (self.root / log).open("ab") as file:
            process = subprocess.Popen(
                [*CLI, *arguments],
                env={**self.environment, **(extra or {})},
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.started.append(process)
        return process

    def start_server(self, *arguments: str) -> subprocess.Popen[bytes]:
        since = self._written("server.log")
        server = self.start("server", "--data", "server", *arguments, log="server.log")
        self._wait_for("leading in term", "server.log", since)
        return server

    def start_worker(
        self, *arguments: str, name: str = "w1", slots: int = 4
    ) -> subprocess.Popen[bytes]:
        since = self._written(f"{name}.log")
        worker = self.start(
            *("worker", "--name", name, "--slots", str(slots), "--data", name),
            *("--ephemeral", *arguments),
            log=f"{name}.log",
        )
        self._wait_for("connected: session", f"{name}.log", since)
        return worker

    def _written(self, log: str) -> int:
        path = self.root / log
        return path.stat().st_size if path.exists() else 0

    def _wait_for(self, words: str, log: str, since: int) -> None:
        """Wait for a line of a log that is longer than `since` bytes."""
        path = self.root / log
        until(
            lambda: words.encode() in path.read_bytes()[since:],
            f"{words!r} in {log}: {path.read_text()[-2000:]}",
        )

    def online(self) -> Sequence[str]:
        found = self.json("worker", "list")["data"]
        return [one["name"] for one in found if one["state"] == "online"]

    def execution(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self.json("execution", "get", id_)
        return found

    def running(self, id_: str) -> bool:
        """Whether an execution has begun, or has ended already."""
        state = self.execution(id_)["state"]
        return state not in {"scheduled", "pending"}

    def log(self, name: str) -> str:
        return (self.root / name).read_text()

    def stop(self) -> None:
        for process in reversed(self.started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as a crash would."""
    process.kill()
    process.wait()
