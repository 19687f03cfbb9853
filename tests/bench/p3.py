"""P3: from the `run` call to the entered function or the started process, when idle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from jobs_grpc.client import Client, Execution

from .system import connect, running
from .table import Row, percentile

SAMPLES = 200


async def sample(
    client: Client, job: str, entered: Callable[[Execution], float]
) -> list[float]:
    """Return the milliseconds between each call and the moment it began."""
    found = []
    for _ in range(SAMPLES):
        called = time.time()
        handle = await client.jobs.run(job)
        execution = await handle.result(timeout=10)
        found.append((entered(execution) - called) * 1000)
        # Let the system fall idle again.
        await asyncio.sleep(0.02)
    return found


def _function_entered(execution: Execution) -> float:
    assert isinstance(execution.result, int)
    return execution.result / 1e9


def _process_started(execution: Execution) -> float:
    assert execution.started_at is not None
    return execution.started_at.timestamp()


async def measure() -> dict[str, list[float]]:
    with running(slots=4) as system:
        async with await connect(system) as client:
            await client.jobs.apply(
                [
                    {"name": "stamp", "function": "stamp", "idempotent": True},
                    {"name": "true", "command": ["/bin/true"]},
                ]
            )
            kinds: dict[str, Awaitable[list[float]]] = {
                "function": sample(client, "stamp", _function_entered),
                "command": sample(client, "true", _process_started),
            }
            return {kind: await waiting for kind, waiting in kinds.items()}


def run() -> list[Row]:
    rows = []
    for kind, times in asyncio.run(measure()).items():
        half, most = percentile(times, 0.5), percentile(times, 0.99)
        rows.append(
            Row(
                id="P3",
                goal=f"idle latency, {kind}: p50 ≤ 5 ms, p99 ≤ 25 ms",
                measured=f"p50 {half:.1f} ms, p99 {most:.1f} ms",
                met=half <= 5 and most <= 25,
                rounds=[{"ms": one} for one in times],
            )
        )
    return rows
