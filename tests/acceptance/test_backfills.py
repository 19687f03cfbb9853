"""A month of an hourly job, worked off beside live work and through a crash."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from support.cli import Ended, jobs_grpc
from support.installed import Installed, kill, until

pytestmark = pytest.mark.acceptance

MONTH = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00Z")
FIRST = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def test_a_month_of_hours_is_backfilled_beside_live_work_and_through_a_crash(
    installed: Installed,
) -> None:
    server = installed.start_server()
    for job in (
        {"name": "hourly", "command": "true", "schedule": "@hourly"},
        {"name": "live", "command": "true", "schedule": "* * * * * *"},
    ):
        cli(installed, "apply", "-f", "-", stdin=json.dumps(job))

    preview = create(installed, "--dry-run")
    assert (preview["total"], preview["left_out"], preview["id"]) == (744, 0, None)
    assert data(installed, "backfill", "list")["data"] == []

    made = create(installed, "--parallel", "4")
    assert (made["state"], made["total"], made["priority"]) == ("running", 744, 5)
    id_ = made["id"][:8]
    installed.start_worker(slots=4)
    until(lambda: get(installed, id_)["succeeded"] >= 20, "some of its runs")

    cli(installed, "backfill", "pause", id_)
    paused = until(lambda: still(installed, id_), "what ran to have ended")
    seen = lives(installed)
    until(lambda: lives(installed) > seen, "live work while it is paused")
    assert get(installed, id_)["started"] == paused["started"]
    cli(installed, "backfill", "resume", id_)
    until(lambda: get(installed, id_)["succeeded"] > paused["succeeded"], "more runs")

    kill(server)
    installed.start_server()
    before = get(installed, id_)
    assert before["state"] == "running"
    until(lambda: get(installed, id_)["succeeded"] > before["succeeded"], "even more")

    cli(installed, "backfill", "cancel", id_)
    over = until(
        lambda: (one := get(installed, id_))["state"] == "cancelled" and one, "its end"
    )
    assert over["started"] == sum(
        over[how] for how in ("succeeded", "failed", "cancelled")
    )
    runs = data(installed, "execution", "list", "--job", "hourly", "--limit", "1000")
    due = [
        datetime.fromisoformat(one["scheduled_for"])
        for one in runs["data"]
        if one["trigger"] == "backfill"
    ]
    assert len(due) == len(set(due))
    assert sorted(due) == [FIRST + timedelta(hours=n) for n in range(over["started"])]
    assert over["started"] < 744
    again = create(installed, "--dry-run")
    assert again["left_out"] == over["started"]
    live = data(installed, "schedule", "decisions", "live", "--limit", "1000")["data"]
    assert not [one for one in live if one["reason"] not in {None, "overlap"}]

    refused = cli(installed, "backfill", "resume", id_, code=5)
    assert "is cancelled" in refused.err


def test_what_cannot_be_backfilled_is_said_in_one_line(installed: Installed) -> None:
    installed.start_server()
    for job in (
        {"name": "often", "command": "true", "schedule": "* * * * * *"},
        {"name": "never", "command": "true"},
    ):
        cli(installed, "apply", "-f", "-", stdin=json.dumps(job))
    for job_name, code, said, options in (
        ("often", 2, "before it begins", ("2026-02-01", "2026-01-01")),
        ("often", 2, "in the future", ("2026-01-01", "2999-01-01")),
        ("often", 2, "at most 100,000 due times", ("2025-01-01", "2026-01-01")),
        ("never", 2, "has no schedule", ("2025-01-01", "2026-01-01")),
        ("nobody", 3, "not found", ("2025-01-01", "2026-01-01")),
    ):
        start, end = (f"{day}T00:00:00Z" for day in options)
        asked = ("backfill", "create", job_name, "--from", start, "--to", end)
        ended = cli(installed, *asked, code=code)
        assert said in ended.err.splitlines()[0]
    unknown = cli(installed, "backfill", "get", "abcdef", code=3)
    assert "not found" in unknown.err
    arguments = ("backfill", "create", "often", "--schedule", "x", *MONTH)
    assert 'no schedule "x"' in cli(installed, *arguments, code=3).err
    assert data(installed, "backfill", "list")["data"] == []


def create(installed: Installed, *options: str) -> dict[str, Any]:
    made: dict[str, Any] = data(
        installed, "backfill", "create", "hourly", *MONTH, *options
    )
    return made


def get(installed: Installed, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = data(installed, "backfill", "get", id_)
    return found


def still(installed: Installed, id_: str) -> dict[str, Any] | None:
    """Return the backfill if none of its runs is left."""
    one = get(installed, id_)
    ended = sum(one[how] for how in ("succeeded", "failed", "cancelled"))
    return one if ended == one["started"] else None


def lives(installed: Installed) -> int:
    """Return how often the other job has run."""
    found: int = data(installed, "job", "get", "live")["run_count"]
    return found


def cli(installed: Installed, *arguments: str, stdin: str = "", code: int = 0) -> Ended:
    """Run a command in this process; starting one for each would take minutes."""
    ended = jobs_grpc(*arguments, addr=installed.address, stdin=stdin.encode())
    assert ended.code == code, ended.err
    return ended


def data(installed: Installed, *arguments: str) -> Any:
    return cli(installed, *arguments, "-o", "json").json()
