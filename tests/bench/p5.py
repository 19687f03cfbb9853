"""P5: a million schedules with five thousand rules: start-up, memory, idle CPU."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs_grpc.client import Client, JobsError
from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.inputs import ApplyJobs
from jobs_grpc.controlplane.leader.specs import spec_of
from jobs_grpc.controlplane.storage.sqlite.store import SqliteStore
from jobs_grpc.jobfile import JobDocument

from .p9 import resident_mib
from .system import running
from .table import Row

JOBS = 10_000
SCHEDULES_OF_A_JOB = 100
RULES = 5_000
IDLE_SECONDS = 30.0
_BATCH = 250


def rules() -> list[str]:
    """Return five thousand rules none of which comes due while we look."""
    later = datetime.now(UTC) + timedelta(days=2)
    days = [(later + timedelta(days=number)) for number in range(20)]
    return [
        f"{minute} {hour} {day.day} {day.month} *"
        for day in days
        for hour in range(0, 24, 2)
        for minute in range(0, 60, 2)
    ][:RULES]


def documents() -> Iterator[str]:
    """Yield the jobs as JSON."""
    draw = random.Random(5)
    known = rules()
    assert len(set(known)) == RULES
    for number in range(JOBS):
        schedule = [
            {"cron": draw.choice(known), "name": f"s{one}"}
            for one in range(SCHEDULES_OF_A_JOB)
        ]
        yield json.dumps(
            {"name": f"job-{number:05}", "command": ["/bin/true"], "schedule": schedule}
        )


async def fill(path: Path) -> None:
    """Define all of them the way a leader does, without a server's patience."""
    store = SqliteStore(path.parent)
    await store.open()
    now = time.time_ns() // 1000
    term = await store.acquire_term(holder="bench", address="", now=now)
    core = Core(term=term)
    batch = []
    for document in documents():
        batch.append(spec_of(JobDocument.model_validate_json(document)))
        if len(batch) == _BATCH:
            step = core.step(
                [ApplyJobs(specs=tuple(batch), sources=("api",) * len(batch))], now
            )
            (reply,) = step.replies
            assert isinstance(reply, tuple), reply
            await store.commit(term, step.changes)
            batch.clear()
    await store.close()


async def first_answer(address: str) -> None:
    """Return once a run is accepted: the table is loaded, decided over, and written to."""
    deadline = time.perf_counter() + 600
    while True:
        try:
            async with await Client.connect(address, timeout=600) as client:
                await client.jobs.run("job-00000")
                return
        except JobsError:
            if time.perf_counter() > deadline:
                raise
        await asyncio.sleep(0.05)


def run() -> list[Row]:
    """Fill, start, look, and judge."""
    with running(slots=1) as system:
        log = system.data / "controlplane.log"
        leading = re.compile(r"leading in term \d+ with \d+ jobs")

        def wait_leading() -> float:
            start = time.perf_counter()
            while not leading.search(log.read_text()):
                time.sleep(0.05)
                assert time.perf_counter() - start < 600
            return time.perf_counter() - start

        wait_leading()
        system.stop()
        system.processes.clear()
        (path,) = (system.data / "server").glob("*.db")
        asyncio.run(fill(path))
        log.unlink()
        server = system.start_server()
        begun = time.perf_counter()
        asyncio.run(first_answer(system.address))
        start_up = time.perf_counter() - begun
        time.sleep(10)
        before = system.cpu_seconds()[0]
        time.sleep(IDLE_SECONDS)
        share = (system.cpu_seconds()[0] - before) / IDLE_SECONDS
        memory = resident_mib(server.pid)
    found = {"start_s": start_up, "mib": memory, "cpu": share}
    return [
        Row(
            id="P5",
            goal="1,000,000 schedules, 5,000 rules: start ≤ 30 s, ≤ 1 GB, idle ≤ 2 %",
            measured=f"{start_up:.1f} s, {memory:.0f} MiB, {share:.1%} of a core",
            met=start_up <= 30 and memory <= 1000 and share <= 0.02,
            rounds=[found],
        )
    ]
