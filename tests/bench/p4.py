"""P4: how late scheduled starts are, with 200 due every second; and one a second."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from jobs_grpc.client import Client, Decision

from .system import connect, running
from .table import Row, percentile

JOBS = 200
SECONDS = 60


async def lateness(client: Client, job: str) -> list[float]:
    """Return the milliseconds from due to started of every run of a job."""
    found = []
    token = ""
    while True:
        page = await client.executions.list_page(
            job=job, page_size=1000, page_token=token
        )
        for one in page.data:
            assert one.scheduled_for is not None
            if one.started_at is not None:
                late = one.started_at - one.scheduled_for
                found.append(late.total_seconds() * 1000)
        token = page.next_page_token
        if not token:
            return found


async def decisions(client: Client, job: str) -> list[Decision]:
    page = await client.schedules.decisions(job, page_size=1000)
    return list(page.data)


async def measure() -> tuple[list[float], list[float], int, int]:
    with running(slots=400) as system:
        async with await connect(system) as client:
            # Commands once a second, and 200 functions due in every second.
            tick = {"name": "tick", "command": ["/bin/true"], "schedule": "* * * * * *"}
            herd = [
                {
                    "name": f"job-{number:03}",
                    "function": "noop",
                    "idempotent": True,
                    "schedule": "* * * * * *",
                    "overlap": "allow",
                }
                for number in range(JOBS)
            ]
            await client.jobs.apply([{**tick, "overlap": "allow"}])
            begun = datetime.now(UTC)
            await asyncio.sleep(SECONDS + 1.5)
            await client.jobs.disable("tick")
            alone = await lateness(client, "tick")
            decided = [
                one
                for one in await decisions(client, "tick")
                if one.due_at is not None and one.due_at > begun
            ]
            started = [one for one in decided if one.outcome == "started"]
            dues = {one.due_at for one in started if one.due_at is not None}
            assert len(dues) == len(started), "a due time was started twice"
            assert len({one.execution_id for one in started}) == len(started)
            span = round((max(dues) - min(dues)).total_seconds()) + 1
            await client.jobs.apply(herd)
            await asyncio.sleep(12)
            late: list[float] = []
            for job in herd:
                await client.jobs.disable(str(job["name"]))
            for job in herd:
                late += await lateness(client, str(job["name"]))
    return alone, late, len(started), span


def run() -> list[Row]:
    alone, herd, started, span = asyncio.run(measure())
    p99 = percentile(herd, 0.99)
    return [
        Row(
            id="P4",
            goal="one due a second for a minute: none missed, none doubled",
            measured=f"{started} started in {span} s; late p50"
            f" {percentile(alone, 0.5):.1f} ms, p99 {percentile(alone, 0.99):.1f} ms",
            met=started == span and started >= SECONDS,
            rounds=[{"ms": one} for one in alone],
        ),
        Row(
            id="P4",
            goal="200 due a second: lateness p99 ≤ 50 ms",
            measured=f"p50 {percentile(herd, 0.5):.1f} ms, p99 {p99:.1f} ms,"
            f" {len(herd)} starts",
            met=p99 <= 50 and len(herd) >= JOBS * 10,
        ),
    ]
