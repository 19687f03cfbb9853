"""`jobs-grpc simulate`, as a person starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = """
name: backup
command: "true"
schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}
timeout: 2h
---
name: report
command: "true"
schedule: "@hourly"
timeout: 2h
"""


def simulate(
    *arguments: str, stdin: str = "", before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs_grpc.client.cli", *before, "simulate", *arguments],
        input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def jobs(tmp_path: Path) -> str:
    path = tmp_path / "jobs.yaml"
    path.write_text(JOBS)
    return str(path)


def test_a_day_has_a_report_and_a_picture(jobs: str, tmp_path: Path) -> None:
    picture = tmp_path / "day.svg"
    ended = simulate(
        "-f", jobs, "--from", "2027-03-28", "--tz", "Europe/Berlin",
        "--duration", "1m", "--duration", "rep*=90m", "--svg", str(picture),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    # A day of 23 hours: 12 reports fit, 11 due times meet the one before.
    assert "2027-03-28 00:00 to 2027-03-29 00:00 Europe/Berlin" in ended.stdout
    assert "TIMELINE" in ended.stdout
    assert "COLLISIONS" in ended.stdout
    assert picture.read_text().startswith("<svg ")


def test_json_has_every_execution(jobs: str) -> None:
    ended = simulate(
        "-f", jobs, "--from", "2027-01-04T00:00:00Z", "--to", "2027-01-04T06:00:00Z",
        before=("-o", "json"),
    )  # fmt: skip
    assert ended.returncode == 0
    whole = json.loads(ended.stdout)
    assert len(whole["executions"]) == 7
    assert whole["most_slots_used"] == 1
    assert "every execution is taken to last 1m" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("--to", "2020-01-01", "--from", "2020-01-02"), 2, "--to must be later"),
        (("--duration", "nope=1m"), 2, "there is no such job"),
        (("--duration", "1x"), 2, "--duration 1x"),
        (("--slots", "0"), 2, "must be at least 1"),
        (("--tz", "Europe/Berln"), 2, "Europe/Berlin"),
        (("--from", "tomorrow"), 2, "--from"),
        (("-f", "-"), 7, "-:1:"),
        (("--svg", "/nonexistent/x.svg"), 1, "No such file or directory"),
    ],
)
def test_mistakes_are_named_and_have_their_codes(
    jobs: str, arguments: tuple[str, ...], code: int, part: str
) -> None:
    ended = simulate("-f", jobs, *arguments, stdin="name: 5\n")
    assert ended.returncode == code, ended.stderr
    assert part in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_loads_no_server() -> None:
    program = (
        "import sys; from jobs_grpc.controlplane.simulation.command import simulate;"
        "simulate(['-f', '-', '-o', 'name']);"
        "print([n for n in ('grpc', 'aiosqlite', 'uvloop') if n in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], input=JOBS, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert ended.stdout.splitlines()[-1] == "[]"
