"""P7: ten thousand worker sessions: memory, idle CPU, and all back after a leader kill."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

from .p9 import resident_mib
from .system import System, free_port
from .table import Row

SESSIONS = 10_000
PROCESSES = 4
IDLE_SECONDS = 30.0
_PATIENCE = 180.0


class Herd:
    """The processes that hold the sessions."""

    def __init__(self, address: str) -> None:
        share = SESSIONS // PROCESSES
        self._counts = [0] * PROCESSES
        self._processes = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "bench.herd", address),
                    *(str(share), str(share * number)),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for number in range(PROCESSES)
        ]
        for number in range(PROCESSES):
            Thread(target=self._listen, args=(number,), daemon=True).start()

    @property
    def welcome(self) -> int:
        return sum(self._counts)

    def wait(self, count: int) -> float:
        """Wait until so many are welcome (0: none); return the seconds."""
        start = time.perf_counter()
        while self.welcome < count if count else self.welcome:
            if time.perf_counter() - start > _PATIENCE:
                raise AssertionError(
                    f"only {self.welcome} of {count} sessions are there"
                )
            time.sleep(0.1)
        return time.perf_counter() - start

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _listen(self, number: int) -> None:
        lines = self._processes[number].stdout
        assert lines is not None
        for line in lines:
            self._counts[number] = int(line)


def measure() -> dict[str, float]:
    """Connect all, look at the server, kill it, and wait for all to be back."""
    with tempfile.TemporaryDirectory(prefix="jobs-grpc-bench-") as folder:
        system = System(f"127.0.0.1:{free_port()}", Path(folder))
        herd: Herd | None = None
        try:
            server = system.start_server()
            herd = Herd(system.address)
            connected = herd.wait(SESSIONS)
            # Until each has heard, with a heartbeat, how often it is to speak now.
            time.sleep(25)
            before = system.cpu_seconds()[0]
            time.sleep(IDLE_SECONDS)
            share = (system.cpu_seconds()[0] - before) / IDLE_SECONDS
            memory = resident_mib(server.pid)
            server.kill()
            server.wait()
            start = time.perf_counter()
            herd.wait(0)
            system.processes.clear()
            system.start_server()
            herd.wait(SESSIONS)
            back = time.perf_counter() - start
        finally:
            if herd is not None:
                herd.end()
            system.stop()
    return {"connect_s": connected, "mib": memory, "cpu": share, "back_s": back}


def bare_cpu() -> float:
    """Return the share of a core that a bare gRPC echo takes for as many sessions."""
    address = f"127.0.0.1:{free_port()}"
    echo = subprocess.Popen([sys.executable, "-m", "bench.bare_echo", address])
    system = System(address, Path(), [echo])
    herd = Herd(address)
    try:
        herd.wait(SESSIONS)
        time.sleep(10)
        before = system.cpu_seconds()[0]
        time.sleep(IDLE_SECONDS)
        return (system.cpu_seconds()[0] - before) / IDLE_SECONDS
    finally:
        herd.end()
        system.stop()


def run() -> list[Row]:
    """Measure once, and judge."""
    bare = bare_cpu()
    found = {**measure(), "bare_cpu": bare}
    return [
        Row(
            id="P7",
            goal="10,000 worker sessions ≤ 600 MB, ≤ 25 % of a core idle",
            measured=f"{found['mib']:.0f} MiB, {found['cpu']:.0%} of a core;"
            f" connected in {found['connect_s']:.0f} s; a bare echo that beats every"
            f" 10 s: {bare:.0%}",
            met=found["mib"] <= 600 and found["cpu"] <= 0.25,
            rounds=[found],
        ),
        Row(
            id="P7",
            goal="all sessions back ≤ 60 s after a leader kill",
            measured=f"{found['back_s']:.1f} s",
            met=found["back_s"] <= 60,
        ),
    ]
