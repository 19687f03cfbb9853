"""P9: the memory of a worker daemon, idle and with a thousand jobs at once."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from .system import System, connect, running
from .table import Row

JOBS = 1_000


def resident_mib(pid: int) -> float:
    """Return what a process has in memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def keeper_pid(system: System) -> int:
    """Return the keeper of the bench's worker."""
    return int((system.data / "bench/keeper/keeper.lock").read_text())


def both(system: System) -> float:
    """Return the resident size of session process and keeper together, in MiB."""
    session = system.processes[1].pid
    found = resident_mib(session)
    with contextlib.suppress(OSError, ValueError):
        found += resident_mib(keeper_pid(system))
    return found


async def measure() -> dict[str, float]:
    """Return MiB of session process and keeper together: idle, and with all jobs."""
    with running(slots=JOBS) as system:
        async with await connect(system) as client:
            nap = {
                "name": "nap",
                "command": ["/bin/sleep", "600"],
                "cancel": {"grace": 1},
            }
            await client.jobs.apply([nap, {"name": "true", "command": ["/bin/true"]}])
            handle = await client.jobs.run("true")
            await handle.result(timeout=30)
            await asyncio.sleep(2)
            idle = both(system)
            await client.submit(["nap"] * JOBS)
            while sum(one.active for one in await client.queues.list()) < JOBS:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            await asyncio.sleep(5)
            busy = both(system)
            await client.executions.cancel_job("nap")
            while sum(one.active for one in await client.queues.list()):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    return {"idle_mib": idle, "busy_mib": busy}


def run() -> list[Row]:
    """Measure once, and judge."""
    found = asyncio.run(measure())
    return [
        Row(
            id="P9",
            goal="worker daemon idle ≤ 80 MB, both processes",
            measured=f"{found['idle_mib']:.0f} MiB",
            met=found["idle_mib"] <= 80,
            rounds=[found],
        ),
        Row(
            id="P9",
            goal="1,000 concurrent jobs ≤ 200 MB, both processes",
            measured=f"{found['busy_mib']:.0f} MiB",
            met=found["busy_mib"] <= 200,
        ),
    ]
