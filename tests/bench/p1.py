"""P1: durable no-op functions, from submit to done, beside Dramatiq, Celery and SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from jobs_grpc.client import Client

from . import peers
from .system import System, connect, running
from .table import Row, middle, spread

TOTAL = 30_000
PEER_TOTAL = 5_000
ROUNDS = 2
# A submitter waits for each batch to be durable before it sends the next one.
SUBMITTERS = 4


async def finished(client: Client) -> int:
    """Return how many executions are final."""
    return sum(one.completed + one.failed for one in await client.queues.list())


async def throughput(client: Client, *, total: int, job: str) -> float:
    """Submit `total` runs of a job and return how many a second were done."""
    before = await finished(client)
    start = time.perf_counter()
    shares = [total // SUBMITTERS] * SUBMITTERS
    batches = await asyncio.gather(*(client.submit([job] * share) for share in shares))
    ids = [id_ for batch in batches for id_ in batch]
    assert len(set(ids)) == total
    await client.executions.wait(ids[-1], timeout=60)
    # The last submitted is among the last done; the rest is a matter of moments.
    while (done := await finished(client) - before) < total:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    elapsed = time.perf_counter() - start
    assert done == total
    return total / elapsed


async def measure(total: int, delivery: str) -> dict[str, float]:
    """Return the rate of one run, and what each process spent on an execution."""
    with running(slots=1000) as system:
        async with await connect(system) as client:
            document = {"name": "noop", "function": "noop", "delivery": delivery}
            await client.jobs.apply([document])
            await throughput(client, total=2_000, job="noop")
            before = system.cpu_seconds()
            rate = await throughput(client, total=total, job="noop")
            server, worker = _spent(system, before, total)
            assert not any(one.failed for one in await client.queues.list())
    return {"per_s": rate, "server_us": server, "worker_us": worker}


def _spent(system: System, before: list[float], total: int) -> tuple[float, float]:
    server, worker = (
        (after - start) / total * 1e6
        for after, start in zip(system.cpu_seconds(), before, strict=True)
    )
    return server, worker


def sqlite_ceiling(total: int) -> float:
    """Return the executions a second whose row writes SQLite alone can commit.

    The same table, the same three writes (insert, lease, end), full sync, batches of a
    hundred, nothing else in the process.
    """
    from jobs_grpc.controlplane.storage.sqlite.migrate import known

    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "ceiling.db", isolation_level=None)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        database.executescript(known()[0][2])
        start = time.perf_counter()
        for first in range(0, total, 100):
            numbers = range(first, first + 100)
            database.execute("begin immediate")
            database.executemany(
                "insert into executions (seq, id, namespace, workspace, job, job_id,"
                ' revision, type, "trigger", queue, priority, scheduled_for, created_at,'
                " requested_by, schedule_id, request_id, params_json, state, phase,"
                " attempt, fence, worker_id, worker, session_id, cancel_reason)"
                " values (?, ?, 'default', '_standalone_', 'noop', 1, 1, 'function',"
                " 'api', 'default', 3, 1, 1, 'x', '', ?, '{}', 'pending', 'none', 0, 0,"
                " '', '', '', '')",
                [(n, f"{n * 2654435761 % 2**32:08x}-{n}", f"r-{n}") for n in numbers],
            )
            database.execute("commit")
            database.execute("begin immediate")
            database.executemany(
                "update executions set phase = 'leased', attempt = 1, fence = ?,"
                " worker_id = 'w', worker = 'w', session_id = 's' where seq = ?",
                [(n, n) for n in numbers],
            )
            database.execute("commit")
            database.execute("begin immediate")
            database.executemany(
                "update executions set state = 'succeeded', started_at = 1,"
                " finished_at = 2, output_bytes = 0 where seq = ?",
                [(n,) for n in numbers],
            )
            database.execute("commit")
        elapsed = time.perf_counter() - start
        database.close()
    return total / elapsed


def run() -> list[Row]:
    """Measure in turns, and judge the medians."""
    missing = peers.available()
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        one = dict(asyncio.run(measure(TOTAL, "at_least_once")))
        strict = asyncio.run(measure(TOTAL, "at_most_once"))
        one["strict_per_s"] = strict["per_s"]
        one["sqlite_per_s"] = sqlite_ceiling(TOTAL)
        if not missing:
            with peers.redis() as url:
                one["dramatiq_per_s"] = peers.rate("dramatiq", PEER_TOTAL, url)
                one["celery_per_s"] = peers.rate("celery", PEER_TOTAL, url)
        rounds.append(one)

    def column(name: str) -> list[float]:
        return [one[name] for one in rounds]

    ours = middle(column("per_s"))
    share = ours / middle(column("sqlite_per_s"))
    note = (
        f"CPU of an execution: server {middle(column('server_us')):.0f} µs, worker"
        f" {middle(column('worker_us')):.0f} µs"
    )
    rows = [
        Row(
            id="P1",
            goal="at_least_once ≥ 10,000/s",
            measured=spread(column("per_s")),
            ratio=f"{share:.0%} of SQLite's ceiling",
            met=ours >= 10_000 and share >= 0.3,
            note=note,
            rounds=rounds,
        ),
        Row(
            id="P1",
            goal="at_most_once ≥ 6,000/s",
            measured=spread(column("strict_per_s")),
            met=middle(column("strict_per_s")) >= 6_000,
        ),
    ]
    for peer, bar in (("dramatiq", 7.0), ("celery", 25.0)):
        if missing:
            rows.append(
                Row(id="P1", goal=f"≥ {bar:g} x {peer}", measured=missing, met=False)
            )
            continue
        theirs = column(f"{peer}_per_s")
        ratio = ours / middle(theirs)
        rows.append(
            Row(
                id="P1",
                goal=f"≥ {bar:g} x {peer}",
                measured=spread(theirs),
                ratio=f"{ratio:.1f} x",
                met=ratio >= bar,
            )
        )
    return rows


if __name__ == "__main__":
    for kind in sys.argv[2:] or ["at_least_once", "at_most_once"]:
        print(kind, asyncio.run(measure(int(sys.argv[1]), kind)))
