"""A pause ends by itself, and what came due meanwhile has the fate that it was given."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

import pytest

from jobs_grpc.client import Client, Decision, DecisionOutcome, Pause, SkipReason
from support.installed import Installed
from support.until import until

pytestmark = pytest.mark.acceptance

JOBS = ("one", "two")
WORKSPACES = {"dropping": "drop", "keeping": "latest"}


def test_a_pause_of_a_workspace_ends_by_itself_and_its_due_times_have_their_fate(
    system: Installed,
) -> None:
    tick = {"command": "true", "schedule": "* * * * * *", "overlap": "allow"}
    jobs = [{"name": name, **tick} for name in JOBS]
    documents = [json.dumps({"name": one, "jobs": jobs}) for one in WORKSPACES]
    text = "\n---\n".join(documents)
    system.cli("apply", "-f", "-", "--format", "yaml", stdin=text)
    ids = {place: pause(system, place, fate) for place, fate in WORKSPACES.items()}
    asyncio.run(see_the_end(system.address, ids))


def pause(system: Installed, workspace: str, meanwhile: str) -> str:
    begun = system.cli(
        *("--workspace", workspace, "pause", "--for", "3s", "--meanwhile", meanwhile),
        *("-o", "name"),
    )
    return begun.stdout.strip()


async def see_the_end(address: str, ids: dict[str, str]) -> None:
    async with Client.connect(address) as client:
        pauses = await client.pauses.list(with_ended=True)
        told = {one.id: one for one in pauses.data}
        assert set(told) == set(ids.values())
        for place, id_ in ids.items():
            for job in JOBS:
                rows = await decided_past(client, place, job, told[id_])
                check(WORKSPACES[place], rows, told[id_])
        assert (await client.pauses.list()).data == ()
        over = (await client.pauses.list(with_ended=True)).data
        assert {one.id: one.ended_at for one in over} == {
            one.id: one.until for one in told.values()
        }


async def decided_past(
    client: Client, place: str, job: str, pause: Pause
) -> dict[datetime, Decision]:
    """Return the decisions of a job, once one speaks of the time after the pause."""
    rows: dict[datetime, Decision] = {}

    async def is_past() -> bool:
        assert pause.until is not None
        page = await client.schedules.decisions(job, workspace=place, page_size=1_000)
        rows.update((one.due_at, one) for one in page.data if one.due_at is not None)
        assert len(rows) == len(page.data), "each due time has one record"
        return any(due > pause.until for due in rows)

    await until(is_past, seconds=60)
    return rows


def check(fate: str, rows: dict[datetime, Decision], pause: Pause) -> None:
    """Every due time is there; those within the pause, and no others, have its fate."""
    assert pause.since is not None
    assert pause.until is not None
    due = sorted(rows)
    assert (due[-1] - due[0]).total_seconds() == len(due) - 1
    within = [one for one in due if pause.since <= one < pause.until]
    assert len(within) >= 2
    skipped = within if fate == "drop" else within[:-1]
    assert {one for one in due if rows[one].outcome is DecisionOutcome.SKIPPED} == set(
        skipped
    )
    for one in skipped:
        assert rows[one].reason is SkipReason.PAUSED
        assert rows[one].holder == pause.id
    for one in set(due) - set(skipped):
        assert rows[one].execution_id
    if fate == "latest":
        decided_at = rows[within[-1]].decided_at
        assert decided_at is not None
        assert decided_at >= pause.until
