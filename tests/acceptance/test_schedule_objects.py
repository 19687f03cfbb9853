"""Schedules made and changed one by one, from outside."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from jobs_grpc.client import Client
from support.cli import Ended, jobs_grpc
from support.installed import Installed, kill, until
from support.until import until as until_async

pytestmark = pytest.mark.acceptance

EDITS = 10


def test_a_schedule_edited_ten_times_while_due_fires_no_due_time_twice_or_in_hindsight(
    installed: Installed,
) -> None:
    installed.start_server()
    job = {"name": "tick", "command": "true", "overlap": "allow"}
    cli(installed, "apply", "-f", "-", stdin=json.dumps(job))
    cli(installed, "schedule", "create", "tick", "often", "--cron", "* * * * * *")
    changed = asyncio.run(edited(installed))
    assert [one["revision"] for one in changed] == list(range(2, EDITS + 2))
    found = decisions(installed)
    due = [one["due_at"] for one in found]
    assert len(due) == len(set(due))
    assert {one["outcome"] for one in found} == {"started"}
    late = [instant(one["decided_at"]) - instant(one["due_at"]) for one in found]
    # Whatever came due before an edit was decided before it, not after it.
    assert max(late) < timedelta(seconds=30)
    for one in changed:
        since = instant(one["updated_at"])
        assert not [
            each
            for each in found
            if instant(each["due_at"]) <= since < instant(each["decided_at"])
        ]
    runs = data(installed, "execution", "list", "--job", "tick", "--limit", "1000")
    assert len(runs["data"]) == len({one["id"] for one in runs["data"]})


def test_switches_and_own_schedules_survive_applies_and_crashes(
    installed: Installed,
) -> None:
    server = installed.start_server()
    job = {
        "name": "report",
        "command": "true",
        "schedule": {"name": "nightly", "cron": "0 3 * * *"},
    }
    cli(installed, "apply", "-f", "-", stdin=json.dumps(job))
    cli(installed, "schedule", "create", "report", "weekly", "--cron", "0 5 * * 1")
    cli(installed, "schedule", "disable", "report", "nightly", "--reason", "moving")
    cli(
        installed,
        "apply",
        "-f",
        "-",
        stdin=json.dumps({**job, "description": "changed"}),
    )
    kill(server)
    installed.start_server()
    found = data(installed, "schedule", "list", "report")["data"]
    shown = {one["name"]: (one["owner"], one["enabled"]) for one in found}
    assert shown == {"nightly": ("document", False), "weekly": ("api", True)}
    nightly = data(installed, "schedule", "get", "report", "nightly")
    assert nightly["disabled_reason"] == "moving"
    assert data(installed, "job", "get", "report")["next_run_at"]
    refused = cli(installed, "schedule", "delete", "report", "nightly", "-y", code=5)
    assert "defined by the document" in refused.err
    unknown = cli(installed, "schedule", "get", "report", "monthly", code=3)
    assert 'no schedule "monthly"' in unknown.err
    again = cli(
        installed, "schedule", "create", "report", "weekly", "--every", "1h", code=5
    )
    assert "already" in again.err
    wrong = cli(installed, "schedule", "create", "report", "x", "--cron", "* *", code=2)
    assert "error:" in wrong.err
    cli(installed, "schedule", "delete", "report", "weekly", "-y")
    cli(installed, "schedule", "enable", "report", "nightly")
    (one,) = data(installed, "schedule", "list")["data"]
    assert (one["name"], one["enabled"]) == ("nightly", True)


def test_a_job_runs_after_another_one_and_never_in_a_circle(
    system: Installed,
) -> None:
    after = {"on": {"event": "job.succeeded", "job": "load"}}
    for job in (
        {"name": "load", "command": "true"},
        {"name": "report", "command": "true", "schedule": after},
    ):
        cli(system, "apply", "-f", "-", stdin=json.dumps(job))
    cli(system, "run", "load", "--wait")
    (run,) = until(
        lambda: data(system, "execution", "list", "--job", "report")["data"], "the run"
    )
    assert run["trigger"] == "event"
    assert run["requested_by"].startswith("event:")
    circle = {"on": {"event": "job.finished", "job": "report"}}
    refused = cli(
        system,
        *("apply", "-f", "-"),
        stdin=json.dumps({"name": "load", "command": "true", "schedule": circle}),
        code=7,
    )
    assert "load -> report -> load" in refused.err
    assert data(system, "job", "get", "load")["schedules"] == []


def test_a_workspace_runs_in_the_order_of_its_dependencies(system: Installed) -> None:
    workspace = {
        "name": "shop",
        "jobs": [
            {"name": "d", "command": "true", "depends_on": ["b", "c"]},
            {"name": "b", "command": "true", "depends_on": "a"},
            {"name": "c", "command": "true", "depends_on": "a"},
            {"name": "a", "command": "true"},
        ],
    }
    shop = ("--workspace", "shop")
    cli(system, "apply", "-f", "-", stdin=json.dumps(workspace))
    assert waits(system, "d") == ["b", "c"]
    cli(system, "run", "b", "--wait", *shop)
    assert waits(system, "d") == ["c"]
    shown = cli(system, "job", "get", "d", *shop).out
    assert re.search(r"Waits For:? +c$", shown, re.MULTILINE), shown
    cli(system, "run", "a", "--wait", *shop)
    (last,) = until(lambda: ended(system, "d"), "the last job")
    # The second run of b waits for another one of c.
    until(lambda: len(ended(system, "b")) == 2, "the second run of b")
    (only,) = ended(system, "d")
    assert (only["id"], only["trigger"]) == (last["id"], "event")
    workspace["jobs"] = [{"name": "a", "command": "true", "depends_on": "d"}]
    circle = cli(system, "apply", "-f", "-", stdin=json.dumps(workspace), code=7)
    assert "circle: a -> " in circle.err
    assert "-> d -> a" in circle.err
    workspace["jobs"] = [{"name": "e", "command": "true", "depends_on": ["bb"]}]
    unknown = cli(system, "apply", "-f", "-", stdin=json.dumps(workspace), code=7)
    assert 'did you mean "b"?' in unknown.err


def waits(system: Installed, job: str) -> list[str]:
    (schedule,) = data(system, "job", "get", job, "--workspace", "shop")["schedules"]
    found: list[str] = schedule["waits_for"]
    return found


def ended(system: Installed, job: str) -> list[dict[str, Any]]:
    found = data(system, "execution", "list", "--job", job, "--workspace", "shop")
    return [one for one in found["data"] if one["state"] == "succeeded"]


async def edited(installed: Installed) -> list[dict[str, Any]]:
    """Edit the schedule, each time after a due time was decided by the last edit."""
    changed = []
    async with Client.connect(installed.address) as client:
        for number in range(EDITS):
            patch = {"every": "1s"} if number % 2 else {"cron": "*/1 * * * * *"}
            one = await client.schedules.update("tick", "often", patch)
            changed.append(one.to_json())
            assert one.updated_at is not None
            await until_async(partial(is_decided_after, client, one.updated_at))
    return changed


async def is_decided_after(client: Client, at: datetime) -> bool:
    """Return whether a due time that came after an instant has been decided."""
    page = await client.schedules.decisions("tick", page_size=1)
    newest = page.data[0].due_at if page.data else None
    return newest is not None and newest > at


def decisions(installed: Installed) -> list[dict[str, str]]:
    found: list[dict[str, str]] = data(
        installed, "schedule", "decisions", "tick", "--limit", "1000"
    )["data"]
    return found


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def cli(installed: Installed, *arguments: str, stdin: str = "", code: int = 0) -> Ended:
    """Run a command in this process; starting one for each would take minutes."""
    ended = jobs_grpc(*arguments, addr=installed.address, stdin=stdin.encode())
    assert ended.code == code, ended.err
    return ended


def data(installed: Installed, *arguments: str) -> Any:
    return cli(installed, *arguments, "-o", "json").json()
