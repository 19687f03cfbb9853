"""Due times become decisions and executions, once each."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from support.installed import Installed, kill, until

pytestmark = pytest.mark.acceptance

# Long enough to see a rhythm, short enough for every run; `make bench` watches a minute.
SECONDS = 12


def test_a_job_due_every_second_runs_every_second_once(system: Installed) -> None:
    job = {
        "name": "tick",
        "command": "true",
        "schedule": "* * * * * *",
        "overlap": "allow",
    }
    system.cli("apply", "-f", "-", stdin=json.dumps(job))
    until(lambda: len(decisions(system, "tick")) >= SECONDS, "the decisions")
    system.cli("job", "disable", "tick")
    started = [one for one in decisions(system, "tick") if one["outcome"] == "started"]
    due = sorted(datetime.fromisoformat(one["due_at"]) for one in started)
    steps = {later - earlier for earlier, later in pairwise(due)}
    assert steps == {timedelta(seconds=1)}
    ids = {one["execution_id"] for one in started}
    assert len(ids) == len(started)
    runs = system.json("execution", "list", "--job", "tick", "--limit", "100")["data"]
    assert {one["id"] for one in runs} == ids


def test_an_overlapping_due_time_is_skipped_and_says_who_stood_in_the_way(
    system: Installed,
) -> None:
    job = {"name": "slow", "command": "sleep 3", "schedule": "every 1s"}
    system.cli("apply", "-f", "-", stdin=json.dumps(job))
    found = until(
        lambda: [
            one for one in decisions(system, "slow") if one["outcome"] == "skipped"
        ],
        "a skipped due time",
    )
    assert found[0]["reason"] == "overlap"
    assert system.execution(found[0]["holder"])["job"] == "slow"


def test_counters_and_next_run_survive_a_crash(installed: Installed) -> None:
    server = installed.start_server()
    installed.start_worker()
    job = {"name": "often", "command": "true", "schedule": "0 0 1 1 *"}
    installed.cli("apply", "-f", "-", stdin=json.dumps(job))
    for _ in range(3):
        installed.cli("run", "often", "--wait")
    before = installed.cli("status", "often").stdout
    assert "Run Count: 3" in before
    kill(server)
    installed.start_server()
    assert installed.cli("status", "often").stdout == before


def test_a_crash_in_the_middle_disturbs_neither_job_nor_output(
    installed: Installed,
) -> None:
    server = installed.start_server()
    installed.start_worker()
    script = "for i in $(seq 200); do echo line $i; sleep 0.04; done"
    run = installed.cli("run", "-o", "name", "--", "sh", "-c", script)
    id_ = run.stdout.strip()
    until(lambda: "line 40" in installed.cli("logs", id_).stdout, "some output")
    kill(server)
    installed.start_server()
    ended = installed.cli("execution", "wait", id_, "-o", "json")
    execution = json.loads(ended.stdout)
    assert execution["state"] == "succeeded"
    assert execution["attempt"] == 1
    out = installed.cli("logs", id_).stdout
    assert out == "".join(f"line {i}\n" for i in range(1, 201))


def test_shares_of_queues_are_kept(installed: Installed) -> None:
    installed.start_server()
    jobs = [
        {"name": f"in-{queue}", "command": "true", "queue": queue}
        for queue in ("critical", "default", "low")
    ]
    for job in jobs:
        installed.cli("apply", "-f", "-", stdin=json.dumps(job))
    submit(installed, {"in-critical": 100, "in-default": 100, "in-low": 100})
    installed.start_worker(slots=10)
    done = finished_in_order(installed, 300)[:100]
    counts = {job["name"]: sum(name == job["name"] for name in done) for job in jobs}
    assert counts["in-critical"] == pytest.approx(60, abs=8)
    assert counts["in-default"] == pytest.approx(30, abs=8)
    assert counts["in-low"] == pytest.approx(10, abs=5)


def test_priorities_run_in_order(installed: Installed) -> None:
    installed.start_server()
    for priority in (5, 4, 3, 2, 1):
        job = {"name": f"p{priority}", "command": "true", "priority": priority}
        installed.cli("apply", "-f", "-", stdin=json.dumps(job))
        submit(installed, {f"p{priority}": 1})
    installed.start_worker(slots=1)
    assert finished_in_order(installed, 5) == ["p1", "p2", "p3", "p4", "p5"]


def test_the_jobs_folder_is_watched(installed: Installed) -> None:
    folder = installed.root / "jobs"
    folder.mkdir()
    write(folder / "one.json", {"name": "one", "command": "true", "enabled": False})
    installed.start_server("--jobs", str(folder))
    until(lambda: names(installed) == {"one"}, "the first job")
    write(folder / "two.json", {"name": "two", "command": "true"})
    until(lambda: names(installed) == {"one", "two"}, "the second job")
    (folder / "two.json").write_text("{ broken")
    until(lambda: "two.json:1:3" in installed.log("server.log"), "the report")
    assert names(installed) == {"one", "two"}
    write(folder / "one.json", {"name": "one", "command": "false"})
    until(lambda: installed.json("job", "get", "one")["revision"] == 2, "the change")
    (folder / "one.json").unlink()
    until(lambda: names(installed) == {"two"}, "the removal")


def test_a_workspace_gives_its_jobs_a_directory_and_values(system: Installed) -> None:
    workspace = """
name: my-app
variables: {region: north}
jobs:
  - name: where
    command: 'echo "$WORKSPACE_ID $JOB_NAME $PLACE $REGION"; pwd'
    environment: {PLACE: "{{workspace_name}}", REGION: "{{region}}"}
  - name: secretive
    command: "true"
    environment: {PASSWORD: "{{database_password}}"}
"""
    system.cli("apply", "-f", "-", "--format", "yaml", stdin=workspace)
    out = system.cli("--workspace", "my-app", "run", "where", "--follow").stdout
    first, second = out.splitlines()
    assert first == "my-app where my-app north"
    assert second.endswith("/deployments/default/my-app")
    failed = system.cli(
        "--workspace", "my-app", "run", "secretive", "--wait", "-o", "json", code=20
    )
    assert "database_password" in failed.stdout + failed.stderr


def decisions(system: Installed, job: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = system.json("schedule", "decisions", job)["data"]
    return found


def names(system: Installed) -> set[str]:
    return {one["name"] for one in system.json("job", "list")["data"]}


def write(path: Path, job: dict[str, object]) -> None:
    path.write_text(json.dumps(job))


def submit(system: Installed, runs: dict[str, int]) -> None:
    """Submit runs through the SDK, as a program would."""
    import asyncio

    from jobs_grpc.client import Client

    async def all_of_them() -> None:
        async with Client.connect(system.address) as client:
            for job, count in runs.items():
                await client.submit([job] * count)

    asyncio.run(all_of_them())


def finished_in_order(system: Installed, count: int) -> list[str]:
    def all_done() -> list[str] | None:
        arguments = ("execution", "list", "--state", "succeeded", "--limit", "1000")
        runs = system.json(*arguments)["data"]
        if len(runs) < count:
            return None
        runs.sort(key=lambda one: one["finished_at"])
        return [one["job"] for one in runs]

    return until(all_done, f"{count} runs")
