"""P12: the first page of ten million executions."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from jobs_grpc.client import Client, ExecutionState

from .system import System, connect, running
from .table import Row, percentile

COUNT = 10_000_000
CALLS = 100


def fill(path: Path) -> None:
    """Put a history into a stopped server's database: a thousand jobs, one in a thousand failed."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma synchronous = off")
    database.execute("begin")
    database.execute(
        "insert into executions (seq, id, namespace, workspace, job, job_id, revision,"
        ' type, "trigger", queue, priority, scheduled_for, created_at, requested_by,'
        " schedule_id, params_json, state, phase, attempt, fence, worker_id, worker,"
        " session_id, cancel_reason, started_at, finished_at, output_bytes)"
        " with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
        " select i, printf('%08x-%d', (i * 2654435761) % 4294967296, i), 'default',"
        " '_standalone_', 'job-' || (i % 1000), 1, 1, 'command', 'schedule', 'default',"
        " 3, i, i, 'x', 's', '{}', iif(i % 1000, 'succeeded', 'failed'), 'started', 1, i,"
        " 'w', 'w', 's', '', i, i, 0 from n",
        (COUNT,),
    )
    database.execute("commit")
    database.execute("pragma wal_checkpoint(truncate)")
    database.close()


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return the median milliseconds of a call."""
    found = []
    for _ in range(CALLS):
        start = time.perf_counter()
        await call()
        found.append((time.perf_counter() - start) * 1000)
    return percentile(found, 0.5)


async def measure(client: Client) -> dict[str, float]:
    """Return the milliseconds of each first page."""
    executions = client.executions
    page = await executions.list_page()
    assert len(page.data) == 100
    assert page.next_page_token
    return {
        "all_ms": await timed(executions.list_page),
        "job_ms": await timed(lambda: executions.list_page(job="job-7")),
        "failed_ms": await timed(
            lambda: executions.list_page(states=[ExecutionState.FAILED])
        ),
    }


async def _measure(system: System) -> dict[str, float]:
    async with await connect(system) as client:
        return await measure(client)


def run() -> list[Row]:
    """Fill, start again, measure, and judge."""
    with running(slots=1) as system:

        async def made() -> None:
            await (await connect(system)).close()

        asyncio.run(made())
        system.stop()
        system.processes.clear()
        (path,) = (system.data / "server").glob("*.db")
        fill(path)
        system.start_server()
        system.start_worker("bench", slots=1)
        found = asyncio.run(_measure(system))
    return [
        Row(
            id="P12",
            goal="first page of 10 million executions ≤ 20 ms",
            measured=f"{found['all_ms']:.1f} ms; of one job {found['job_ms']:.1f} ms;"
            f" failed ones {found['failed_ms']:.1f} ms",
            met=max(found.values()) <= 20,
            rounds=[found],
        )
    ]
