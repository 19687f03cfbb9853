"""The next due times of a job, of all its schedules together."""

from __future__ import annotations

from jobs_grpc.controlplane.core.schedules.upcoming import next_start, upcoming
from jobs_grpc.controlplane.core.state.inputs import BeginPause, SetJobEnabled
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, PauseKind, Scope
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


def pause(stage: Stage, minutes: int | None, meanwhile: Meanwhile) -> None:
    stage.ask(
        BeginPause(
            id=f"p{minutes}",
            scope=Scope(PauseKind.JOB, *key()),
            note="",
            who="alice",
            until=None if minutes is None else stage.now + minutes * MINUTE,
            meanwhile=meanwhile,
        )
    )


def starts(stage: Stage) -> int | None:
    """Return when the job will start next, in minutes after noon."""
    at = next_start(stage.job(), stage.core.pauses, stage.now)
    return None if at is None else (at - NOON) // MINUTE


def test_the_next_run_passes_over_what_starts_nothing(stage: Stage) -> None:
    stage.apply(
        calendars={"freeze": "2026-03-02/2026-03-04"},
        schedule=[
            {"name": "off", "every": "1m", "enabled": False},
            {"name": "dark", "every": "1s", "blackout": ["freeze", "weekends"]},
            {"name": "later", "every": "1m", "disabled_until": "2026-03-06T00:00:00Z"},
        ],
    )
    assert starts(stage) == (12 + 2 * 24) * 60
    stage.ask(SetJobEnabled(key(), enabled=False))
    assert starts(stage) is None


def test_a_blackout_of_all_days_leaves_no_next_run(stage: Stage) -> None:
    stage.apply(
        calendars={"work": ["mon", "tue", "wed", "thu", "fri"]},
        schedule={"every": "1s", "blackout": ["work", "weekends"]},
    )
    assert starts(stage) is None


def test_an_exhausted_schedule_has_no_next_run(stage: Stage) -> None:
    stage.apply(schedule={"every": "1m", "max_runs": 1})
    assert starts(stage) == 1
    stage.live_through(60)
    assert starts(stage) is None


def test_the_next_run_of_a_paused_job_comes_after_the_pause(stage: Stage) -> None:
    stage.apply(schedule="every 7m")
    first = starts(stage)
    assert first is not None
    pause(stage, first + 1, Meanwhile.DROP)
    assert starts(stage) == first + 7
    (skipped, kept) = upcoming(stage.job(), stage.now, 2, stage.core.pauses)
    assert (skipped.skip, kept.skip) == ("paused", "")
    pause(stage, None, Meanwhile.DROP)
    assert starts(stage) is None


def test_what_a_pause_keeps_is_started_at_its_end(stage: Stage) -> None:
    stage.apply(schedule="every 7m")
    first = starts(stage)
    assert first is not None
    pause(stage, first + 1, Meanwhile.LATEST)
    assert starts(stage) == first + 1
    stage.live_through(first * 60)
    assert starts(stage) == first + 1


def test_a_pause_that_ends_sooner_moves_nothing(stage: Stage) -> None:
    stage.apply(schedule="0 13 * * *")
    pause(stage, 10, Meanwhile.ALL)
    assert starts(stage) == 60
