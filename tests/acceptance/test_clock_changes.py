"""A real server lives through the nights on which the clocks of New York change.

Its wall clock is set by libfaketime; everything that it measures goes on as ever.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs_grpc.client import Client, Decision
from support.installed import Installed, until
from support.until import until as until_async
from support.wall_clock import WallClock

pytestmark = pytest.mark.acceptance

NEW_YORK = ZoneInfo("America/New_York")
JOBS = [
    {
        "name": name,
        "command": "true",
        "schedule": {"cron": cron, "timezone": "America/New_York"},
        "overlap": "allow",
    }
    for name, cron in (("early", "30 1 * * *"), ("late", "30 2 * * *"))
] + [
    # Tells that an instant has passed, whether or not anything else was due.
    {
        "name": "witness",
        "command": "true",
        "schedule": "0,30 * * * *",
        "overlap": "allow",
        "catch_up": "none",
    }
]


@pytest.mark.parametrize(
    ("day", "instants", "expected"),
    [
        # 02:30 does not exist: due once, at 03:00, and not again at 03:30.
        (
            "2026-03-08",
            ["08T06:30", "08T07:00", "08T07:30", "09T05:30", "09T06:30"],
            {"early": "01:30", "late": "03:00"},
        ),
        # 01:30 comes twice: due the first time.
        (
            "2026-11-01",
            ["01T05:30", "01T06:30", "01T07:30", "02T06:30", "02T07:30"],
            {"early": "01:30", "late": "02:30"},
        ),
    ],
)
def test_each_job_runs_once_a_day(
    installed: Installed, day: str, instants: list[str], expected: dict[str, str]
) -> None:
    lived = [datetime.fromisoformat(f"{day[:8]}{one}:00+00:00") for one in instants]
    midnight = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=NEW_YORK)
    clock = WallClock(installed.root)
    clock.set(midnight.astimezone(UTC) + timedelta(minutes=45))
    installed.start(
        "server", "--data", "server", log="server.log", extra=clock.environment
    )
    until(lambda: installed.cli("list", code=None).returncode == 0, "the server")
    decisions = asyncio.run(live_through(installed, clock, lived))
    days = Counter((one.job, local(one).date().isoformat()) for one in decisions)
    following = (midnight + timedelta(days=1)).date().isoformat()
    assert days == {(job, date): 1 for job in expected for date in (day, following)}
    on_the_day = {
        one.job: local(one).strftime("%H:%M")
        for one in decisions
        if local(one).date().isoformat() == day
    }
    assert on_the_day == expected
    preview(installed, day, following)


async def live_through(
    installed: Installed, clock: WallClock, instants: list[datetime]
) -> list[Decision]:
    """Return what became of the due times of two nights; nothing was missed."""
    async with Client.connect(installed.address) as client:
        await client.jobs.apply(JOBS)
        for at in instants:
            clock.set(at - timedelta(seconds=0.5))
            await passed(client, at)
        page = await client.schedules.decisions(page_size=1_000)
        found = [one for one in page.data if one.job != "witness"]
        assert {(one.outcome, one.reason) for one in found} == {("started", None)}
        return found


async def passed(client: Client, at: datetime) -> None:
    """Wait until the server has decided the due time of the witness."""

    async def is_decided() -> bool:
        page = await client.schedules.decisions("witness", since=at, page_size=1)
        return bool(page.data)

    await until_async(is_decided, seconds=60)


def local(one: Decision) -> datetime:
    assert one.due_at is not None
    return one.due_at.astimezone(NEW_YORK)


def preview(installed: Installed, day: str, following: str) -> None:
    """What is foreseen is what happened: one due time a day."""
    for cron in ("30 1 * * *", "30 2 * * *"):
        start = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=NEW_YORK)
        out = installed.cli(
            *("schedule", "preview", cron, "--tz", "America/New_York"),
            *(
                "--from",
                start.astimezone(UTC).isoformat(),
                "--count",
                "2",
                "-o",
                "json",
            ),
        ).stdout
        found = [
            datetime.fromisoformat(one["due_at"]) for one in json.loads(out)["data"]
        ]
        days = [one.astimezone(NEW_YORK).date().isoformat() for one in found]
        assert days == [day, following]
