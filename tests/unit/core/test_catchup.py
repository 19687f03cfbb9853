from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jobs_grpc.controlplane.core.decisions.catchup import (
    COLLAPSE_ABOVE,
    OUTAGE,
    Missed,
    plan,
    unattended,
)
from jobs_grpc.controlplane.core.state.inputs import SetJobEnabled
from jobs_grpc.controlplane.core.state.job import CatchUp
from jobs_grpc.schedule import Rule, cron_rule, every_rule
from support.jobs import DAY, HOUR, MINUTE, NOON, SECOND, key
from support.stage import Stage

EVERY_MINUTE = every_rule(MINUTE)
EVERY_SECOND = every_rule(SECOND)


def outage(stage: Stage, seconds: float, **keys: Any) -> list[tuple[int, str, str]]:
    """Leave a job unattended for so long; return (due after noon, outcome, reason)."""
    stage.apply(**{"overlap": "allow", **keys})
    stage.restart(after=seconds)
    return [
        ((row.due_at - NOON) // SECOND, row.outcome, row.reason)
        for row in stage.decisions()
    ]


def test_by_default_the_latest_missed_due_time_is_made_up_for(stage: Stage) -> None:
    assert outage(stage, 30 * 60, schedule="every 10m") == [
        (600, "skipped", "missed_window"),
        (1200, "skipped", "missed_window"),
        (1800, "started", ""),
    ]


def test_none_makes_up_for_nothing_and_records_all(stage: Stage) -> None:
    assert outage(stage, 1200, schedule="every 10m", catch_up="none") == [
        (600, "skipped", "missed_window"),
        (1200, "skipped", "missed_window"),
    ]
    assert stage.rows() == []


def test_all_makes_up_for_the_latest_few_in_their_order(stage: Stage) -> None:
    keys = {"schedule": "every 10m", "catch_up": {"mode": "all", "max": 2}}
    assert outage(stage, 1800, **keys) == [
        (600, "skipped", "limit"),
        (1200, "started", ""),
        (1800, "started", ""),
    ]
    assert [row.scheduled_for - NOON for row in stage.rows()] == [
        20 * MINUTE,
        30 * MINUTE,
    ]


def run_in_turn(stage: Stage) -> list[int]:
    """Work off every execution, one slot after another; return the due times in order."""
    session = stage.connect(slots=100)
    done = []
    while session.leases:
        ((fence, execution),) = session.leases.items()
        done.append((execution.scheduled_for - NOON) // MINUTE)
        stage.end(session, fence)
    return done


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_all_runs_one_after_another_whatever_the_overlap_says(
    stage: Stage, overlap: str
) -> None:
    keys = {"schedule": "every 10m", "catch_up": "all", "overlap": overlap}
    assert [outcome for _, outcome, _ in outage(stage, 1800, **keys)] == ["started"] * 3
    assert run_in_turn(stage) == [10, 20, 30]


def test_all_waits_for_what_ran_before_the_outage(stage: Stage) -> None:
    stage.apply(schedule="every 10m", catch_up="all")
    (before,) = stage.submit()
    stage.restart(after=1200)
    assert [row.holder for row in stage.decisions()] == [before, before]
    assert run_in_turn(stage) == [0, 10, 20]


def test_ninety_minutes_away_from_a_job_due_every_ten(stage: Stage) -> None:
    for mode in ("none", "latest", "all"):
        catch_up: Any = "none" if mode == "none" else {"mode": mode, "window": "2h"}
        stage.apply(name=mode, schedule="every 10m", catch_up=catch_up)
    stage.restart(after=90 * 60)
    dues = [NOON + n * 10 * MINUTE for n in range(1, 10)]
    for mode, starts in (("none", 0), ("latest", 1), ("all", 9)):
        decided = stage.decisions(mode)
        assert [row.due_at for row in decided] == dues
        assert [row.until for row in decided] == [None] * 9
        outcomes = [row.reason or row.outcome for row in decided]
        assert outcomes == ["missed_window"] * (9 - starts) + ["started"] * starts
        assert [row.scheduled_for for row in stage.rows(mode)] == dues[9 - starts :]


def test_ninety_minutes_with_the_usual_window_have_their_rows_too(stage: Stage) -> None:
    decided = outage(stage, 90 * 60, schedule="every 10m", catch_up="all")
    assert [reason or outcome for _, outcome, reason in decided] == (
        ["missed_window"] * 3 + ["started"] * 6
    )
    assert {row.until for row in stage.decisions()} == {None}


def test_much_that_is_older_than_the_window_is_one_record(stage: Stage) -> None:
    keys = {"schedule": "every 10s", "catch_up": {"mode": "all", "window": "20s"}}
    assert outage(stage, 3600, **keys) == [
        (10, "skipped", "missed_window"),
        (3590, "started", ""),
        (3600, "started", ""),
    ]
    first = stage.decisions()[0]
    assert first.until == NOON + HOUR - 20 * SECOND
    assert first.due_times is None


def test_a_due_time_older_than_the_window_starts_nothing(stage: Stage) -> None:
    keys = {"schedule": "0 13 * * *", "catch_up": {"mode": "latest", "window": "30m"}}
    assert outage(stage, 2 * 3600, **keys) == [(3600, "skipped", "missed_window")]


def test_more_than_a_hundred_skipped_due_times_collapse_into_a_range(
    stage: Stage,
) -> None:
    outage(stage, 55 * 60, schedule="every 10s")
    skipped, started = stage.decisions()
    assert (skipped.outcome, started.outcome) == ("skipped", "started")
    assert skipped.due_times == 55 * 6 - 1
    assert skipped.due_at == NOON + 10 * SECOND
    assert skipped.until == NOON + 55 * MINUTE - 10 * SECOND
    assert started.due_at == NOON + 55 * MINUTE


@pytest.mark.parametrize("count", [COLLAPSE_ABOVE, COLLAPSE_ABOVE + 1])
def test_up_to_a_hundred_skipped_due_times_have_a_record_each(count: int) -> None:
    found = unattended(EVERY_SECOND, NOON - count * SECOND, HOUR, NOON)
    missed = plan(found, mode=CatchUp.NONE, limit=0).missed
    assert len(missed) == (count if count <= COLLAPSE_ABOVE else 1)
    assert sum(one.due_times or 0 for one in missed) == count


def test_a_short_restart_is_lateness_and_no_outage(stage: Stage) -> None:
    keys = {"schedule": "every 10s", "catch_up": "none"}
    assert outage(stage, 59, **keys) == [
        (n, "started", "") for n in (10, 20, 30, 40, 50)
    ]


def test_a_minute_is_an_outage() -> None:
    first = NOON + MINUTE
    assert not unattended(EVERY_MINUTE, NOON, HOUR, first + OUTAGE - 1).is_outage
    assert unattended(EVERY_MINUTE, NOON, HOUR, first + OUTAGE).is_outage


def test_a_clock_that_jumps_forward_is_an_outage_without_a_restart(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    stage.wait(600)
    assert [row.outcome for row in stage.decisions()] == ["skipped"] * 9 + ["started"]


def test_an_outage_is_made_up_for_once(stage: Stage) -> None:
    outage(stage, 1800, schedule="every 10m")
    before = stage.decisions()
    stage.restart(after=1)
    stage.restart(after=1)
    assert stage.decisions() == before


def test_after_an_outage_the_schedule_goes_on(stage: Stage) -> None:
    outage(stage, 1805, schedule="every 10m")
    stage.live_through(600)
    assert [row.due_at - NOON for row in stage.decisions()[-2:]] == [
        30 * MINUTE,
        40 * MINUTE,
    ]


def test_the_missed_due_times_of_a_disabled_job_say_so(stage: Stage) -> None:
    stage.apply(schedule="every 10m", catch_up={"mode": "all", "window": "20m"})
    stage.ask(SetJobEnabled(key(), False))
    stage.restart(after=3600)
    assert {row.reason for row in stage.decisions()} == {"disabled"}


def test_the_missed_due_times_of_a_disabled_schedule_say_so(stage: Stage) -> None:
    schedule = {"every": "10m", "enabled": False}
    decided = outage(stage, 1800, schedule=schedule)
    assert {reason for _, _, reason in decided} == {"disabled"}


def test_two_schedules_of_a_job_make_up_for_one_instant_once(stage: Stage) -> None:
    schedule = ["every 10m", {"name": "other", "every": "10m"}]
    outage(stage, 1800, schedule=schedule, catch_up="all")
    assert sorted(row.scheduled_for - NOON for row in stage.rows()) == [
        10 * MINUTE,
        20 * MINUTE,
        30 * MINUTE,
    ]


def test_a_year_without_a_leader_costs_a_rule_of_every_second_little(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1s")
    began = time.perf_counter()
    stage.restart(after=365 * 86_400)
    assert time.perf_counter() - began < 3
    before, within, started = stage.decisions()
    assert (before.due_at, before.until) == (NOON + SECOND, stage.now - HOUR)
    assert (within.due_times, started.due_at) == (3_599, stage.now)
    assert len(stage.rows()) == 1


@dataclass(slots=True)
class Counted:
    """A rule that counts how many due times are computed."""

    rule: Rule
    count: int = 0

    canonical = "counted"
    timezone = "UTC"

    def next_after(self, after: int) -> int | None:
        self.count += 1
        return self.rule.next_after(after)

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        for due in self.rule.between(start, end, limit):
            self.count += 1
            yield due


def test_a_window_of_a_year_stays_bounded_too() -> None:
    rule = Counted(EVERY_SECOND)
    found = unattended(rule, NOON - 365 * DAY, 365 * DAY, NOON)
    decided = plan(found, mode=CatchUp.ALL, limit=1_000)
    assert rule.count < 100_000
    assert decided.start == tuple(NOON - n * SECOND for n in reversed(range(1_000)))
    assert len(decided.missed) <= 2
    assert decided.missed[0].first == NOON - 365 * DAY + SECOND


def test_a_long_window_finds_the_last_due_times_of_a_rule_that_comes_in_bursts() -> (
    None
):
    # Every second of January; it is March, and the window is a year.
    rule = cron_rule("* * * * 1 *")
    found = unattended(rule, NOON - 365 * DAY, 365 * DAY, NOON)
    decided = plan(found, mode=CatchUp.ALL, limit=1_000)
    assert len(decided.start) == 1_000
    february = NOON - 29 * DAY - 12 * HOUR
    assert decided.start[-1] == february - SECOND


def test_nothing_due_is_no_outage() -> None:
    found = unattended(EVERY_MINUTE, NOON, HOUR, NOON + SECOND)
    assert not found.is_outage
    assert plan(found, mode=CatchUp.ALL, limit=10) == plan(
        found, mode=CatchUp.NONE, limit=0
    )


def test_each_due_time_of_an_outage_is_in_exactly_one_record() -> None:
    cursor, now = NOON, NOON + 5 * HOUR
    found = unattended(EVERY_MINUTE, cursor, HOUR, now)
    decided = plan(found, mode=CatchUp.ALL, limit=10)
    covered = list(decided.start)
    for one in decided.missed:
        end = one.first if one.until is None else one.until
        covered += EVERY_MINUTE.between(one.first - 1, end)
    assert sorted(covered) == list(EVERY_MINUTE.between(cursor, now))


def test_a_missed_range_begins_at_its_first_due_time() -> None:
    found = unattended(EVERY_SECOND, NOON, HOUR, NOON + 3 * HOUR)
    missed = plan(found, mode=CatchUp.LATEST, limit=1).missed
    assert missed[0] == Missed(NOON + SECOND, NOON + 2 * HOUR, None)
