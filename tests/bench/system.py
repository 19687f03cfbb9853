"""A server and workers as real processes, for measurements."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jobs_grpc.client import Client

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class System:
    """One server and its workers."""

    address: str
    data: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_server(self) -> subprocess.Popen[bytes]:
        return self._start(
            "jobs_grpc.controlplane",
            ["--addr", self.address, "--data", str(self.data / "server")],
        )

    def start_worker(self, name: str, *, slots: int) -> subprocess.Popen[bytes]:
        return self._start(
            "jobs_grpc.worker",
            [
                *("--addr", self.address, "--name", name, "--slots", str(slots)),
                *("--data", str(self.data / name), "--ephemeral"),
                *("--functions", str(HERE / "functions.py")),
            ],
        )

    def cpu_seconds(self) -> list[float]:
        """Return the CPU time each process has used so far."""
        found = []
        for process in self.processes:
            stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2]
            user, system = stat.split()[11:13]
            found.append((int(user) + int(system)) / TICK)
        return found

    def peak_mib(self) -> list[float]:
        """Return the largest resident size each process ever had."""
        found = []
        for process in self.processes:
            status = Path(f"/proc/{process.pid}/status").read_text()
            line = next(one for one in status.splitlines() if one.startswith("VmHWM"))
            found.append(int(line.split()[1]) / 1024)
        return found

    def _start(self, module: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        log = (self.data / f"{module.rpartition('.')[2]}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=log, stderr=log
        )
        log.close()
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running(*, slots: int) -> Iterator[System]:
    """Give a system with one worker, on a data directory of its own."""
    data = Path(tempfile.mkdtemp(prefix="jobs-grpc-bench-"))
    system = System(f"127.0.0.1:{free_port()}", data)
    try:
        system.start_server()
        system.start_worker("bench", slots=slots)
        yield system
    finally:
        system.stop()
        shutil.rmtree(data, ignore_errors=True)


async def connect(system: System) -> Client:
    """Return a client, once the worker is there too."""
    deadline = time.monotonic() + 30
    while True:
        try:
            client = await Client.connect(system.address)
            if any(one.state == "online" for one in await client.workers.list()):
                return client
            await client.close()
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
