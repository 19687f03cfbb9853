"""What came due while no server was there is decided when one is there again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from jobs_grpc.client import Client, DecisionOutcome, Execution, SkipReason
from support.installed import Installed, kill, until
from support.until import until as until_async
from support.wall_clock import WallClock

pytestmark = pytest.mark.acceptance

BEFORE = datetime(2027, 1, 15, 12, 2, tzinfo=UTC)
AFTER = BEFORE + timedelta(minutes=90)
# 12:10, 12:20, ... 13:30.
MISSED = [BEFORE + timedelta(minutes=8 + 10 * number) for number in range(9)]
RULES: Mapping[str, object] = {
    "latest": {"mode": "latest", "window": "2h"},
    "all": {"mode": "all", "window": "2h"},
    "none": "none",
}
STARTED = (DecisionOutcome.STARTED, None)
SKIPPED = (DecisionOutcome.SKIPPED, SkipReason.MISSED_WINDOW)


def test_each_job_makes_up_for_an_outage_of_90_minutes_by_its_own_rule(
    installed: Installed,
) -> None:
    clock = WallClock(installed.root)
    clock.set(BEFORE)
    server = start_server(installed, clock, term=1)
    asyncio.run(apply_and_see_nothing_due(installed.address))
    kill(server)
    clock.set(AFTER)
    start_server(installed, clock, term=2)
    runs = asyncio.run(see_what_is_made_up_for(installed))
    due = {job: [one.scheduled_for for one in runs if one.job == job] for job in RULES}
    assert due == {"latest": MISSED[-1:], "all": MISSED, "none": []}


async def apply_and_see_nothing_due(address: str) -> None:
    async with Client.connect(address) as client:
        await client.jobs.apply(
            {
                "name": name,
                "command": "true",
                "schedule": "*/10 * * * *",
                "catch_up": rule,
            }
            for name, rule in RULES.items()
        )
        for job in RULES:
            assert await decided(client, job) == {}


async def see_what_is_made_up_for(installed: Installed) -> list[Execution]:
    """Return the executions in the order in which they began, when all have ended."""
    async with Client.connect(installed.address) as client:
        installed.start(*("worker", "--data", "w1", "--ephemeral"), log="w1.log")

        async def have_ended() -> bool:
            runs = await client.executions.list()
            return len(runs) >= 10 and all(one.is_final for one in runs)

        await until_async(have_ended, seconds=60)
        runs = await client.executions.list()
        assert await decided(client, "all") == dict.fromkeys(MISSED, STARTED)
        assert await decided(client, "none") == dict.fromkeys(MISSED, SKIPPED)
        only_the_last = {**dict.fromkeys(MISSED, SKIPPED), MISSED[-1]: STARTED}
        assert await decided(client, "latest") == only_the_last
        assert {one.state.value for one in runs} == {"succeeded"}
        assert all(one.started_at for one in runs)
        return sorted(runs, key=lambda one: one.started_at or BEFORE)


async def decided(
    client: Client, job: str
) -> dict[datetime | None, tuple[DecisionOutcome, SkipReason | None]]:
    """Return what became of each due time of a job; each has one record."""
    rows = (await client.schedules.decisions(job, page_size=1_000)).data
    found = {one.due_at: (one.outcome, one.reason) for one in rows}
    assert len(found) == len(rows)
    return found


def start_server(
    installed: Installed, clock: WallClock, *, term: int
) -> subprocess.Popen[bytes]:
    server = installed.start(
        *("server", "--data", "server"), log="server.log", extra=clock.environment
    )
    until(lambda: f"leading in term {term} " in installed.log("server.log"), "a leader")
    return server
