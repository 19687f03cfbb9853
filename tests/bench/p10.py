"""P10: how long the CLI takes, in multiples of starting Python and importing gRPC."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .system import running
from .table import Row, middle

ROUNDS = 15


def seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    """Return how long a command takes as a whole process."""
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def run() -> list[Row]:
    cli = str(Path(sys.executable).parent / "jobs-grpc")
    with running(slots=1) as system:
        environment = {**os.environ, "JOBS_GRPC_ADDR": system.address}
        commands = {
            "pass": [sys.executable, "-c", "pass"],
            "grpc": [sys.executable, "-c", "import grpc"],
            "version": [cli, "--version"],
            "list": [cli, "job", "list"],
        }
        while subprocess.run(
            commands["list"], env=environment, check=False, capture_output=True
        ).returncode:
            time.sleep(0.2)
        rounds = [
            {name: seconds(command, environment) for name, command in commands.items()}
            for _ in range(ROUNDS)
        ]
    times = {name: middle([one[name] for one in rounds]) for name in commands}
    return [
        Row(
            id="P10",
            goal=f"{title} ≤ {bar} ms",
            measured=f"{times[name] * 1000:.0f} ms",
            ratio=f"{times[name] / times[base]:.1f} x {what}",
            met=times[name] * 1000 <= bar,
            rounds=rounds,
        )
        for name, title, bar, base, what in (
            ("version", "--version", 80, "pass", "python -c pass"),
            ("list", "job list", 300, "grpc", "python -c 'import grpc'"),
        )
    ]
