"""Schedules with jitter, from the end, with a number of runs, with blackouts."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.schedules.zones import Zones
from jobs_grpc.controlplane.core.state.effects import TimeZonesChanged
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.inputs import CloseSession
from jobs_grpc.schedule import format_instant, jitter_delay
from support.jobs import MINUTE, NOON, SECOND, submission
from support.stage import Stage


def outcomes(stage: Stage) -> list[tuple[int, str, str]]:
    """Return (seconds after noon, outcome, reason) of every decision."""
    return [
        ((row.due_at - NOON) // SECOND, row.outcome, row.reason)
        for row in stage.decisions()
    ]


def at(seconds: int) -> str:
    return format_instant(NOON + seconds * SECOND)


def run_what_waits(stage: Stage) -> None:
    """Have a worker run one execution, now; it goes away again."""
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.end(session, fence)
    stage.step(CloseSession(session.id, stage.streams))


# Jitter.


def test_jitter_puts_the_start_off_and_keeps_the_due_time(stage: Stage) -> None:
    job = stage.apply(schedule={"every": "10m", "jitter": "5m"}, overlap="allow")
    (schedule,) = job.schedules.values()
    due = NOON + 10 * MINUTE
    delay = jitter_delay(schedule.spec.id, due, 5 * MINUTE, schedule.spec.rule)
    assert delay > SECOND
    stage.live_through(600)
    assert outcomes(stage) == []
    stage.live_through(delay / SECOND - 0.001)
    assert outcomes(stage) == []
    stage.live_through(0.001)
    assert outcomes(stage) == [(600, "started", "")]
    (row,) = stage.rows()
    assert (row.scheduled_for, row.created_at) == (due, due + delay)


def test_a_start_that_is_put_off_outlives_the_leader(stage: Stage) -> None:
    stage.apply(schedule={"every": "1h", "jitter": "30m"}, overlap="allow")
    stage.live_through(3_600)
    assert outcomes(stage) == []
    stage.restart(after=1)
    assert outcomes(stage) == []
    stage.live_through(1_800)
    assert outcomes(stage) == [(3_600, "started", "")]


def test_every_due_time_with_jitter_is_decided_once(stage: Stage) -> None:
    stage.apply(schedule={"cron": "0-3 * * * *", "jitter": "20m"}, overlap="allow")
    stage.live_through(3 * 3_600)
    started = [when for when, outcome, _ in outcomes(stage) if outcome == "started"]
    hours = [[hour * 3_600 + 60 * minute for minute in range(4)] for hour in range(3)]
    assert started == [when for hour in hours for when in hour if when > 0]


def test_jitter_is_no_outage(stage: Stage) -> None:
    stage.apply(schedule={"every": "1h", "jitter": "50m"}, catch_up="none")
    stage.live_through(2 * 3_600 + 3_000)
    assert outcomes(stage)[0][1] == "started"


def test_an_outage_with_jitter_goes_by_the_catch_up_rule(stage: Stage) -> None:
    stage.apply(schedule={"every": "10m", "jitter": "1m"}, catch_up="none")
    stage.restart(after=35 * 60)
    assert outcomes(stage) == [
        (600, "skipped", "missed_window"),
        (1_200, "skipped", "missed_window"),
        (1_800, "skipped", "missed_window"),
    ]


# From the end of the last execution.


def test_a_period_from_the_end_counts_from_the_end(stage: Stage) -> None:
    stage.apply(schedule={"every": "10m", "from": "end"})
    # Before the first end it counts from its creation.
    stage.live_through(599)
    assert outcomes(stage) == []
    stage.live_through(1)
    assert outcomes(stage) == [(600, "started", "")]
    stage.live_through(3_600)
    assert len(outcomes(stage)) == 1
    run_what_waits(stage)
    stage.live_through(599)
    assert len(outcomes(stage)) == 1
    stage.live_through(1)
    assert outcomes(stage)[1:] == [(600 + 3_600 + 600, "started", "")]


def test_runs_by_hand_move_a_period_from_the_end(stage: Stage) -> None:
    stage.apply(schedule="every 10m from end")
    stage.wait(300)
    stage.submit(submission("backup"))
    stage.live_through(3_600)
    assert outcomes(stage) == []
    run_what_waits(stage)
    stage.live_through(600)
    assert outcomes(stage) == [(300 + 3_600 + 600, "started", "")]


def test_the_end_that_is_counted_from_outlives_the_leader(stage: Stage) -> None:
    stage.apply(schedule={"every": "10m", "from": "end"})
    stage.live_through(600)
    stage.wait(30)
    run_what_waits(stage)
    stage.restart(after=60)
    assert stage.core.timeline.alarms.next_due() == NOON + 630 * SECOND + 10 * MINUTE
    stage.live_through(540)
    assert [when for when, _, _ in outcomes(stage)] == [600, 1_230]


def test_what_started_nothing_is_counted_from_too(stage: Stage) -> None:
    stage.apply(schedule={"every": "10m", "from": "end", "enabled": False})
    stage.live_through(1_800)
    assert outcomes(stage) == [
        (when, "skipped", "disabled") for when in (600, 1_200, 1_800)
    ]


def test_a_long_outage_makes_one_due_time_from_the_end(stage: Stage) -> None:
    stage.apply(schedule={"every": "10m", "from": "end"})
    stage.restart(after=35 * 60)
    assert outcomes(stage) == [(600, "started", "")]


# A number of runs.


def test_the_number_of_runs_counts_starts_and_outlives_the_leader(
    stage: Stage,
) -> None:
    stage.apply(schedule={"every": "1m", "max_runs": 3}, overlap="allow")
    stage.live_through(60)
    stage.restart(after=0)
    stage.live_through(60)
    stage.restart(after=0)
    stage.live_through(120)
    assert outcomes(stage) == [
        (60, "started", ""),
        (120, "started", ""),
        (180, "started", ""),
        (240, "skipped", "exhausted"),
    ]


def test_skipped_due_times_use_up_no_run(stage: Stage) -> None:
    stage.apply(schedule={"every": "1m", "max_runs": 2})
    stage.live_through(120)
    run_what_waits(stage)
    stage.live_through(60)
    assert [reason for _, _, reason in outcomes(stage)] == ["", "overlap", ""]


def test_another_rule_of_the_same_name_counts_anew(stage: Stage) -> None:
    one = {"name": "x", "every": "1m", "max_runs": 1}
    stage.apply(schedule=one, overlap="allow")
    stage.live_through(120)
    stage.apply(schedule={**one, "every": "90s"}, overlap="allow")
    stage.restart(after=0)
    stage.live_through(60)
    assert outcomes(stage) == [
        (60, "started", ""),
        (120, "skipped", "exhausted"),
        (180, "started", ""),
    ]


def test_more_runs_can_be_granted(stage: Stage) -> None:
    stage.apply(schedule={"every": "1m", "max_runs": 1}, overlap="allow")
    stage.live_through(120)
    stage.apply(schedule={"every": "1m", "max_runs": 2}, overlap="allow")
    stage.live_through(120)
    assert [reason for _, _, reason in outcomes(stage)] == [
        "",
        "exhausted",
        "",
        "exhausted",
    ]


# Blackouts, exclusions, windows.


def test_a_blackout_is_a_decision_and_an_exclusion_is_none(stage: Stage) -> None:
    stage.apply(
        overlap="allow",
        calendars={"freeze": "2026-03-03"},
        schedule=[
            {"name": "told", "cron": "0 */6 * * *", "blackout": "freeze"},
            {"name": "silent", "cron": "30 */6 * * *", "exclude": "2026-03-03"},
        ],
    )
    stage.live_through(40 * 3_600)
    hours = [(when / 3_600, reason) for when, _, reason in outcomes(stage)]
    assert hours == [
        (0.5, ""),
        (6, ""),
        (6.5, ""),
        (12, "blackout"),
        (18, "blackout"),
        (24, "blackout"),
        (30, "blackout"),
        (36, ""),
        (36.5, ""),
    ]


def test_a_window_ends_by_itself(stage: Stage) -> None:
    stage.apply(
        schedule={"every": "1m", "start": at(120), "end": at(240)}, overlap="allow"
    )
    stage.live_through(600)
    assert [when for when, _, _ in outcomes(stage)] == [120, 180]
    assert stage.wake_at is None


# What has passed.


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ({"at": at(-1)}, "lies in the past"),
        ({"every": "1m", "end": at(30)}, "has no due time after now"),
    ],
)
def test_a_schedule_without_a_due_time_left_is_refused(
    stage: Stage, schedule: dict[str, str], why: str
) -> None:
    with pytest.raises(InvalidError, match=why):
        stage.apply(schedule=schedule)
    assert not stage.core.live.jobs


def test_a_known_schedule_may_have_come_to_its_end(stage: Stage) -> None:
    schedule = {"at": at(60)}
    stage.apply(schedule=schedule)
    stage.live_through(120)
    assert stage.apply(schedule=schedule, description="changed").revision == 2
    with pytest.raises(InvalidError):
        stage.apply(schedule={"at": at(30)})


# Time zone data.


def test_newer_time_zone_data_is_announced_once(stage: Stage) -> None:
    def begin(version: str) -> None:
        stage.restart(after=1)
        core = stage.core
        core.zones = Zones(core.zones.stored, version)
        core._is_new = True
        stage.step()

    stage.apply(schedule=["every 1h", "0 9 * * *"])
    begin("2025b")
    assert stage.said(TimeZonesChanged) == []
    begin("2025b")
    assert stage.said(TimeZonesChanged) == []
    begin("2026a")
    assert stage.said(TimeZonesChanged) == [TimeZonesChanged("2025b", "2026a", 2)]
    stage.restart(after=1)
    assert stage.core.zones.stored == "2026a"
