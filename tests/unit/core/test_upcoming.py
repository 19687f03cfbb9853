"""The next due times of a job, of all its schedules together."""

from __future__ import annotations

from jobs_grpc.controlplane.core.schedules.upcoming import upcoming
from jobs_grpc.controlplane.core.state.inputs import SetJobEnabled
from support.jobs import MINUTE, NOON, key
from support.stage import Stage


def told(stage: Stage, count: int) -> list[tuple[int, tuple[str, ...], str]]:
    """Return (minutes after noon, schedules, why skipped) of the next due times."""
    found = upcoming(stage.job(), stage.now, count)
    return [((one.due_at - NOON) // MINUTE, one.schedules, one.skip) for one in found]


def test_schedules_are_united_by_name(stage: Stage) -> None:
    stage.apply(
        schedule=[
            {"name": "often", "every": "20m"},
            {"name": "hourly", "cron": "0 * * * *"},
            "30 12 * * *",
        ]
    )
    assert told(stage, 4) == [
        (20, ("often",), ""),
        (30, ("cron 30 12 * * *",), ""),
        (40, ("often",), ""),
        (60, ("often", "hourly"), ""),
    ]


def test_what_is_known_to_start_nothing_says_why(stage: Stage) -> None:
    stage.apply(
        calendars={"freeze": "2026-03-02"},
        schedule=[
            {"name": "few", "every": "20m", "max_runs": 2},
            {"name": "off", "every": "1h", "enabled": False},
            {"name": "dark", "every": "90m", "blackout": "freeze"},
        ],
    )
    assert told(stage, 4) == [
        (20, ("few",), ""),
        (40, ("few",), ""),
        (60, ("few", "off"), "exhausted"),
        (80, ("few",), "exhausted"),
    ]
    assert told(stage, 6)[-2:] == [
        (90, ("dark",), "blackout"),
        (100, ("few",), "exhausted"),
    ]
    stage.ask(SetJobEnabled(key(), enabled=False))
    assert {skip for _, _, skip in told(stage, 4)} == {"disabled"}


def test_one_schedule_that_starts_is_enough(stage: Stage) -> None:
    stage.apply(
        schedule=[
            {"name": "off", "every": "1h", "enabled": False},
            {"name": "on", "every": "1h"},
        ]
    )
    assert told(stage, 1) == [(60, ("off", "on"), "")]


def test_jitter_shows_when_it_starts(stage: Stage) -> None:
    stage.apply(schedule={"every": "1h", "jitter": "30m"})
    (one,) = upcoming(stage.job(), stage.now, 1)
    assert NOON + 60 * MINUTE < one.starts_at < NOON + 90 * MINUTE
    assert (one.starts_at - NOON) % 1_000 == 0


def test_a_period_from_the_end_has_one_due_time_at_most(stage: Stage) -> None:
    stage.apply(schedule="every 10m from end")
    assert told(stage, 5) == [(10, ("every 10m from end",), "")]
    stage.live_through(600)
    assert told(stage, 5) == []
