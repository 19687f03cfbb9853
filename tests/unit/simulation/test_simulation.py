"""What the core decides on virtual time, with nothing real in it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs_grpc.controlplane.core.state.errors import RefusedError
from jobs_grpc.controlplane.core.state.job import JobSpec
from jobs_grpc.controlplane.simulation import svg, text
from jobs_grpc.controlplane.simulation.axis import ticks
from jobs_grpc.controlplane.simulation.command import simulate
from jobs_grpc.controlplane.simulation.lanes import lanes, merged
from jobs_grpc.controlplane.simulation.outcome import Outcome
from jobs_grpc.controlplane.simulation.simulation import run
from jobs_grpc.schedule import format_instant, parse_instant
from support.jobs import DAY, HOUR, MINUTE, spec

START = parse_instant("2027-01-04T00:00:00Z")
UTC = ZoneInfo("UTC")


def simulated(
    *specs: JobSpec,
    slots: int = 10,
    lengths: Mapping[str, int] | None = None,
    length: int = MINUTE,
    span: int = DAY,
    **more: Any,
) -> Outcome:
    known = lengths or {}
    return run(
        specs,
        start=START,
        end=START + span,
        slots=slots,
        length=lambda one: known.get(one.name, length),
        **more,
    )


def clock(at: int | None) -> str:
    assert at is not None
    return format_instant(at)[11:16]


def test_the_range_holds_its_start_and_not_its_end() -> None:
    outcome = simulated(spec(schedule="0 * * * *"))
    due = [clock(one.due_at) for one in outcome.executions.values()]
    assert due == [f"{hour:02}:00" for hour in range(24)]
    assert {one.state for one in outcome.executions.values()} == {"succeeded"}
    assert not outcome.skipped
    assert not outcome.collisions


def test_each_execution_lasts_as_long_as_was_said() -> None:
    outcome = simulated(
        spec(schedule="0 6 * * *", timeout="2h"), lengths={"backup": 90 * MINUTE}
    )
    (one,) = outcome.executions.values()
    assert (clock(one.started_at), clock(one.finished_at)) == ("06:00", "07:30")


def test_a_timeout_ends_what_lasts_longer() -> None:
    outcome = simulated(spec(schedule="0 6 * * *", timeout="20m"), length=HOUR)
    (one,) = outcome.executions.values()
    assert one.state == "timed_out"
    assert clock(one.finished_at) == "06:20"


@pytest.mark.parametrize(
    ("overlap", "made", "started"),
    [("skip", "skipped", 12), ("allow", "beside", 24), ("queue", "waited", None),
     ("replace", "waited", 24)],
)  # fmt: skip
def test_collisions_say_what_the_policy_makes_of_them(
    overlap: str, made: str, started: int | None
) -> None:
    outcome = simulated(
        spec(schedule="@hourly", overlap=overlap, timeout="3h"), length=90 * MINUTE
    )
    assert {one.outcome for one in outcome.collisions} >= {made}
    begun = [one for one in outcome.executions.values() if one.started_at is not None]
    if started is not None:
        assert len(begun) == started
    assert all(one.holder for one in outcome.collisions)
    if overlap == "replace":
        states = [one.state for one in outcome.executions.values()]
        assert states == ["cancelled"] * 23 + ["running"]


def test_a_full_fleet_makes_executions_wait_and_the_waits_are_counted() -> None:
    jobs = [spec(name=f"j{number}", schedule="0 6 * * *") for number in range(3)]
    outcome = simulated(*jobs, slots=1, length=10 * MINUTE)
    starts = sorted(clock(one.started_at) for one in outcome.executions.values())
    assert starts == ["06:00", "06:10", "06:20"]
    (row,) = outcome.queues()
    assert (row.due, row.waited) == (3, 2)
    assert row.longest_wait == 20 * MINUTE
    assert row.total_wait == 30 * MINUTE
    assert row.busy == 30 * MINUTE
    assert max(used for _, used, _ in outcome.load()) == 1
    assert max(waiting for _, _, waiting in outcome.load()) == 2
    assert outcome.busiest() == [(START + 6 * HOUR, 3)]


def test_what_is_not_over_at_the_end_stays_open() -> None:
    jobs = [spec(name=f"j{number}", schedule="50 23 * * *") for number in range(2)]
    outcome = simulated(*jobs, slots=1, length=HOUR)
    states = sorted(one.state for one in outcome.executions.values())
    assert states == ["pending", "running"]
    (row,) = outcome.queues()
    assert row.busy == 10 * MINUTE
    assert row.longest_wait == 10 * MINUTE
    assert sum(
        end - start for lane in lanes(outcome) for start, end in lane.waiting
    ) == (10 * MINUTE)


def test_the_clock_changes_are_the_core_s() -> None:
    sunday = parse_instant("2027-03-28T00:00:00Z")
    job = spec(schedule="30 2 * * *", timezone="Europe/Berlin")
    outcome = run(
        [job], start=sunday, end=sunday + DAY, slots=1, length=lambda _: MINUTE
    )
    # 02:30 is in the gap; it is due at its end.
    assert [clock(one.due_at) for one in outcome.executions.values()] == ["01:00"]


def test_selectors_are_left_out_and_functions_are_there() -> None:
    outcome = simulated(
        spec(name="a", schedule="@daily", targets={"selector": {"role": "db"}}),
        spec(name="b", schedule="@daily", function="f"),
    )
    assert [one.state for one in outcome.executions.values()] == ["succeeded"] * 2


def test_more_due_times_than_the_limit_stop_it_and_it_says_where() -> None:
    outcome = simulated(spec(schedule="* * * * *"), limit=100)
    assert outcome.stopped_at == START + 100 * MINUTE
    assert len(outcome.executions) == 100
    assert "STOPPED at 2027-01-04 01:40" in text.render(outcome, UTC)
    assert outcome.to_json()["stopped_at"] == "2027-01-04T01:40:00Z"


def test_a_long_quiet_range_costs_no_steps() -> None:
    # Ten years of nothing: with a step for each second this would take an hour.
    outcome = simulated(spec(schedule="0 0 1 1 *"), span=3_653 * DAY)
    assert len(outcome.executions) == 10


@pytest.mark.parametrize(
    ("date", "zone", "hours"),
    [
        ("2027-03-28", "Europe/Berlin", 23),
        ("2027-10-31", "Europe/Berlin", 25),
        ("2027-06-01", "Europe/Berlin", 24),
        ("2027-10-31", "UTC", 24),
        # Its clocks change at midnight: the day begins at 01:00.
        ("2027-04-30", "Africa/Cairo", 23),
    ],
)
def test_a_day_is_from_midnight_to_midnight_of_its_zone(
    date: str, zone: str, hours: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "j.yaml"
    job.write_text("name: j\ncommand: 'true'\nschedule: every 1h\n")
    more = ["--from", date, "--tz", zone, "-o", "json"]
    assert simulate(["-f", str(job), *more]) == 0
    said = json.loads(capsys.readouterr().out)
    begin, end = (parse_instant(said[key]) for key in ("from", "to"))
    assert end - begin == hours * HOUR
    assert len(said["executions"]) == hours


def test_a_day_from_an_instant_ends_at_the_same_time_of_the_next_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "j.yaml"
    job.write_text("name: j\ncommand: 'true'\nschedule: '@hourly'\n")
    arguments = [
        "--from",
        "2027-10-30T10:00:00Z",
        "--tz",
        "Europe/Berlin",
        "-o",
        "json",
    ]
    assert simulate(["-f", str(job), *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["to"] == "2027-10-31T11:00:00Z"


def test_one_is_not_many() -> None:
    outcome = simulated(spec(schedule="@daily"), slots=1)
    assert " UTC, 1 job, 1 slot" in text.render(outcome, UTC)
    assert ">UTC; 1 job, 1 slot, 1 execution, 0 skipped, 0 collisions<" in svg.render(
        outcome, UTC
    )


def test_a_long_line_of_waiting_runs_leaves_the_running_ones_to_be_seen() -> None:
    jobs = [spec(name=f"j{n}", schedule="0 6 * * *") for n in range(2_000)]
    outcome = simulated(*jobs, slots=8, length=HOUR)
    root = ET.fromstring(svg.render(outcome, UTC))
    space = "{http://www.w3.org/2000/svg}"
    at = {
        one.text: float(one.get("y", "0"))
        for one in root.iter(f"{space}text")
        if one.text in {"0", "8 slots", "2000"}
    }
    assert at["0"] - at["8 slots"] >= 10
    assert at["8 slots"] - at["2000"] >= 10
    load = next(one for one in root.iter(f"{space}path") if one.get("class") == "run")
    top = min(float(y) for y in re.findall(r"V([0-9.]+)", load.get("d", "")))
    base = max(float(y) for y in re.findall(r"V([0-9.]+)", load.get("d", "")))
    assert base - top >= 10


def test_jobs_that_cannot_be_applied_are_refused() -> None:
    with pytest.raises(RefusedError, match="queue"):
        simulated(spec(schedule="@daily", queue="nowhere"))


def test_the_report_names_jobs_collisions_and_the_busiest_instants() -> None:
    outcome = simulated(
        spec(name="often", schedule="*/30 * * * *", timeout="2h"),
        spec(name="hourly", schedule="@hourly"),
        lengths={"often": 45 * MINUTE},
        slots=1,
    )
    said = text.render(outcome, UTC)
    assert "2027-01-04 00:00 to 2027-01-05 00:00 UTC, 2 jobs, 1 slot" in said
    assert f"{len(outcome.skipped)} skipped" in said
    for heading in ("TIMELINE", "COLLISIONS", "BUSIEST", "QUEUE", "LONGEST WAIT"):
        assert heading in said
    assert "2027-01-04 00:00  2 due" in said
    (lane,) = [
        line
        for line in said.splitlines()
        if line.startswith("often   ") and "█" in line
    ]
    assert len(lane) == len("hourly") + 2 + 72
    assert "x" in lane
    assert "more (--all shows them)" in said
    assert "more (--all" not in text.render(outcome, UTC, show_all=True)


def test_the_picture_is_svg_with_a_row_for_each_job() -> None:
    jobs = [
        spec(name=f"job-{n}", schedule=f"{n} * * * *", queue=queue, timeout="3h")
        for n, queue in enumerate(["default", "low", "critical"] * 20)
    ]
    outcome = simulated(*jobs, slots=5, length=10 * MINUTE)
    root = ET.fromstring(svg.render(outcome, UTC))
    space = "{http://www.w3.org/2000/svg}"
    texts = [one.text for one in root.iter(f"{space}text")]
    for row in outcome.jobs():
        assert row.name in texts
    assert {"queue critical", "queue default", "queue low"} <= set(texts)
    assert "12:00" in texts
    groups = list(root.iter(f"{space}g"))
    assert len(groups) == len(jobs)
    # Every job ran, and the bar of its row says so.
    for group in groups:
        kinds = {one.get("class") for one in group.iter(f"{space}path")}
        assert "run" in kinds
    assert any(
        one.get("class") == "wait"
        for group in groups
        for one in group.iter(f"{space}path")
    )


def test_a_bar_stands_where_its_execution_is() -> None:
    outcome = simulated(spec(schedule="0 12 * * *", timeout="9h"), length=6 * HOUR)
    root = ET.fromstring(svg.render(outcome, UTC))
    (group,) = root.iter("{http://www.w3.org/2000/svg}g")
    (bar,) = group.iter("{http://www.w3.org/2000/svg}path")
    # The chart is 1070 wide and begins at 250: noon is its middle, six hours a quarter.
    assert bar.get("d") == "M785.0 231h267.5v10h-267.5z"


def test_a_picture_of_many_executions_is_small() -> None:
    outcome = simulated(spec(schedule="* * * * *"), length=MINUTE // 2)
    assert len(outcome.executions) == 1_440
    picture = svg.render(outcome, UTC)
    # Bars nearer than half a pixel are one.
    assert picture.count('class="run"') == 3
    assert len(picture) < 80_000


def test_an_empty_day_has_a_report_and_a_picture() -> None:
    outcome = simulated(spec(schedule="0 0 1 2 *"))
    assert "0 due times" in text.render(outcome, UTC)
    ET.fromstring(svg.render(outcome, UTC))


def test_spans_that_meet_are_one() -> None:
    assert merged([(5, 6), (0, 2), (2, 3)]) == [(0, 3), (5, 6)]
    assert merged([(0, 2), (3, 4)], gap=1) == [(0, 4)]


def test_hours_of_the_axis_are_those_of_its_zone() -> None:
    marks = ticks(START, START + DAY, ZoneInfo("Asia/Kolkata"), 12)
    assert [label for _, label in marks][:3] == ["06:00", "08:00", "10:00"]
    assert marks[0][0] == START + 30 * MINUTE
    assert len(ticks(START, START + 30 * DAY, UTC, 12)) <= 16


@pytest.mark.timeout(120)
def test_a_day_of_500_jobs_is_simulated_and_drawn() -> None:
    rules = ("*/15 * * * *", "@hourly", "0 3 * * *", "every 10m", "30 9-17 * * 1-5")
    jobs = [
        spec(name=f"job-{n:03}", schedule=rules[n % 5], timeout="2h")
        for n in range(500)
    ]
    outcome = simulated(*jobs, slots=50, length=5 * MINUTE)
    assert len(outcome.executions) + len(outcome.skipped) == 100 * (
        96 + 24 + 1 + 144 + 9
    )
    root = ET.fromstring(svg.render(outcome, UTC))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}g"))) == 500


def test_schedules_that_are_over_are_no_mistake() -> None:
    outcome = simulated(
        spec(schedule=[{"at": "2020-01-01T00:00:00Z"}, {"cron": "0 6 * * *"}])
    )
    assert len(outcome.executions) == 1


def test_a_delay_by_jitter_is_no_waiting() -> None:
    outcome = simulated(spec(schedule={"cron": "0 6 * * *", "jitter": "30m"}))
    (one,) = outcome.executions.values()
    assert one.due_at == START + 6 * HOUR
    assert one.started_at is not None
    assert one.due_at < one.started_at < one.due_at + 30 * MINUTE
    assert one.waited(outcome.end) == 0


def test_a_period_from_the_end_runs_one_after_the_other() -> None:
    outcome = simulated(
        spec(schedule={"every": "1h", "from": "end"}, timeout="2h"), length=HOUR
    )
    assert not outcome.skipped
    assert 11 <= len(outcome.executions) <= 13


def test_blackouts_are_skipped() -> None:
    outcome = simulated(
        spec(
            schedule={"cron": "@hourly", "blackout": "holidays"},
            calendars={"holidays": ["2027-01-04"]},
        )
    )
    assert {one.reason for one in outcome.skipped} == {"blackout"}
    assert not outcome.collisions
