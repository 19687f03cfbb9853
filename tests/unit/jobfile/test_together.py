"""What job files say only together, and what only a clock knows: each at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs_grpc.jobfile import LoadedJob, load_text, load_tree
from jobs_grpc.jobfile.together import circles, over
from support.jobs import NOON

FLOW = """\
name: shop
jobs:
  - name: extract
    command: "true"
    schedule:
      - 0 2 * * *
      - {on: {event: job.failed, job: report}}
  - {name: load, command: "true", depends_on: [extract]}
  - name: report
    command: "true"
    schedule: {on: {event: job.succeeded, job: shop/load}}
"""


def load(text: str) -> list[LoadedJob]:
    return load_text(text, origin="shop.yaml")


def test_a_circle_is_told_once_with_the_way_and_its_place() -> None:
    (problem,) = circles(load(FLOW))
    assert str(problem) == (
        "shop.yaml:7:9: jobs[0].schedule[1]: jobs would cause each other in a circle: extract ->"
        " load -> report -> extract; take one of their event schedules, or of their"
        " depends_on, away"
    )


def test_a_job_that_waits_for_itself_is_a_circle() -> None:
    text = "name: a\ncommand: 'true'\nschedule: {on: {event: job.finished, job: a}}\n"
    (problem,) = circles(load(text))
    assert str(problem).startswith(
        "shop.yaml:3:11: schedule: jobs would cause each other in a circle: a -> a;"
    )


def test_a_circle_of_several_files_is_found(tmp_path: Path) -> None:
    for name, other in ("ab", "bc", "ca"):
        (tmp_path / f"{name}.toml").write_text(
            f'name = "{name}"\ncommand = "true"\ndepends_on = "{other}"\n'
        )
    jobs, problems = load_tree(tmp_path)
    assert not problems
    (problem,) = circles(jobs)
    place = f"{tmp_path / 'a.toml'}:3:14: depends_on: "
    assert str(problem).startswith(f"{place}jobs would cause each other in a circle:")


def test_two_circles_are_two_problems_and_ways_that_meet_are_none() -> None:
    def jobs(**causes: str) -> list[LoadedJob]:
        listed = "\n".join(
            f"  - {{name: {name}, command: 'true', depends_on: [{', '.join(others)}]}}"
            for name, others in causes.items()
        )
        return load(f"jobs:\n{listed}\n")

    assert circles(jobs(a="bc", b="d", c="d", d="x")) == []
    assert len(circles(jobs(a="b", b="a", c="d", d="ce", e="a"))) == 2


def test_a_circle_across_workspaces_says_whose_the_jobs_are() -> None:
    text = """\
[{"name": "a", "workspace": "one", "command": "true",
  "schedule": {"on": {"event": "job.finished", "job": "two/b"}}},
 {"name": "b", "workspace": "two", "command": "true",
  "schedule": {"on": {"event": "job.finished", "job": "one/a"}}}]
"""
    documents = text.strip()[1:-1].split(",\n {")
    jobs = load(documents[0]) + load("{" + documents[1])
    (problem,) = circles(jobs)
    assert "circle: a -> two/b -> a" in str(problem)


def test_a_long_circle_shows_its_ends() -> None:
    count = 3_000
    listed = "\n".join(
        f"  - {{name: j{n}, command: 'true', depends_on: j{(n + 1) % count}}}"
        for n in range(count)
    )
    (problem,) = circles(load(f"jobs:\n{listed}\n"))
    assert "(2989 more)" in str(problem)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("{at: 2020-01-01T00:00:00Z}", "3:16: schedule.at: is in the past"),
        (
            "[{run_at: 2020-01-01T00:00:00Z}]",
            "3:21: schedule[0].run_at: is in the past",
        ),
        (
            "{every: 1h, end: 2020-01-01T00:00:00Z}",
            "3:28: schedule.end: leaves no due time after now",
        ),
        ("['@daily', {at: 2030-01-01T00:00:00Z}, every 1h from end]", ""),
    ],
)
def test_a_schedule_that_is_over_is_told_at_its_place(
    schedule: str, expected: str
) -> None:
    jobs = load(f"name: a\ncommand: 'true'\nschedule: {schedule}\ndepends_on: b\n")
    found = [str(one) for one in over(jobs, now=NOON)]
    if not expected:
        assert found == []
    else:
        hint = "give it a later time, or remove it"
        assert found == [f"shop.yaml:{expected}; {hint}"]
