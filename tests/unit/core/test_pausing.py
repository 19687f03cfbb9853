"""Pauses: what stands still, what becomes of its due times, and what comes back."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from jobs_grpc.controlplane.core.decisions.catchup import COLLAPSE_ABOVE
from jobs_grpc.controlplane.core.state.effects import PauseBegan, PauseEnded
from jobs_grpc.controlplane.core.state.errors import (
    InvalidError,
    JobNotFoundError,
    PauseNotFoundError,
    QueueNotFoundError,
    ScheduleNotFoundError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    BeginPause,
    DeleteJob,
    EndPauses,
    SetJobEnabled,
)
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, Pause, PauseKind, Scope
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import MINUTE, NAMESPACE, NOON, SECOND, apply, key, spec, submission
from support.stage import Stage, finish

JOB = Scope(PauseKind.JOB, *key())
WORKSPACE = Scope(PauseKind.WORKSPACE, NAMESPACE, "_standalone_")
EVERYTHING = Scope(PauseKind.ALL)
ELSEWHERE = ({"workspace": "shop"}, {"namespace": "ops"})
_numbers = count(1)


def pause(
    stage: Stage, scope: Scope = JOB, *, seconds: float | None = None, **fields: Any
) -> Pause:
    """Put something on hold, until so many seconds from now."""
    until = None if seconds is None else stage.now + round(seconds * SECOND)
    given: dict[str, Any] = {
        "id": f"p{next(_numbers)}",
        "note": "upgrade",
        "who": "alice",
        "meanwhile": Meanwhile.DROP,
        **fields,
    }
    made: Pause = stage.ask(BeginPause(scope=scope, until=until, **given))
    return made


def resume(stage: Stage, scope: Scope = JOB) -> tuple[Pause, ...]:
    ended: tuple[Pause, ...] = stage.ask(EndPauses(scope=scope, who="bob"))
    return ended


def outcomes(stage: Stage, job: str = "") -> list[tuple[int, str]]:
    """Return (minutes after noon, reason or "started") of every decision."""
    return [
        ((row.due_at - NOON) // MINUTE, row.reason or row.outcome)
        for row in stage.decisions(job)
    ]


def scopes(stage: Stage) -> dict[str, Scope]:
    (schedule,) = stage.job().schedules
    return {
        "schedule": Scope(PauseKind.SCHEDULE, *key(), schedule),
        "job": JOB,
        "workspace": WORKSPACE,
        "namespace": Scope(PauseKind.NAMESPACE, NAMESPACE),
        "all": EVERYTHING,
    }


@pytest.mark.parametrize("kind", ["schedule", "job", "workspace", "namespace", "all"])
def test_what_is_paused_starts_nothing_and_every_due_time_says_so(
    stage: Stage, kind: str
) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    made = pause(stage, scopes(stage)[kind])
    stage.live_through(120)
    assert outcomes(stage) == [(1, "paused"), (2, "paused")]
    assert {row.holder for row in stage.decisions()} == {made.id}
    resume(stage, made.scope)
    stage.live_through(60)
    assert outcomes(stage)[2:] == [(3, "started")]


@pytest.mark.parametrize(
    "scope",
    [
        Scope(PauseKind.JOB, *key("other")),
        Scope(PauseKind.WORKSPACE, NAMESPACE, "shop"),
        Scope(PauseKind.NAMESPACE, "ops"),
    ],
)
def test_a_pause_concerns_nothing_but_what_it_names(stage: Stage, scope: Scope) -> None:
    stage.apply(schedule="every 1m")
    stage.ask(apply(*(spec(name="x", **where) for where in ELSEWHERE)))
    stage.apply(name="other")
    pause(stage, scope)
    stage.wait(60)
    assert outcomes(stage, "backup") == [(1, "started")]


def test_a_pause_ends_by_itself(stage: Stage) -> None:
    stage.apply(schedule="every 10s", overlap="allow")
    made = pause(stage, WORKSPACE, seconds=60)
    stage.live_through(60)
    reasons = [row.reason for row in stage.decisions()]
    # The due time at the very end of the pause is not paused.
    assert reasons == ["paused"] * 5 + [""]
    row = finish(stage.store.pause(made.id))
    assert row is not None
    assert (row.ended_at, row.ended_by) == (made.until, "")
    assert [fact.pause for fact in stage.said(PauseEnded)] == [made]


def test_the_core_wakes_for_the_end_of_a_pause(stage: Stage) -> None:
    made = pause(stage, EVERYTHING, seconds=5)
    assert stage.wake_at == made.until
    stage.live_through(5)
    assert stage.wake_at is None


def test_latest_starts_the_last_due_time_when_the_pause_ends(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    made = pause(stage, seconds=3.5 * 60, meanwhile=Meanwhile.LATEST)
    stage.live_through(3 * 60)
    assert outcomes(stage) == []
    stage.live_through(60)
    assert outcomes(stage) == [
        (1, "paused"),
        (2, "paused"),
        (3, "started"),
        (4, "started"),
    ]
    assert [(row.scheduled_for - NOON) // MINUTE for row in stage.rows()] == [3, 4]
    assert [row.holder for row in stage.decisions()][:2] == [made.id] * 2


def test_all_starts_each_due_time_in_its_turn_when_the_pause_ends(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    pause(stage, meanwhile=Meanwhile.ALL)
    stage.live_through(3 * 60)
    resume(stage)
    assert outcomes(stage) == [(1, "started"), (2, "started"), (3, "started")]
    held = [one.hold is not None for one in stage.core.live.executions.values()]
    assert held == [False, True, True]


@pytest.mark.parametrize("meanwhile", list(Meanwhile))
def test_a_pause_survives_a_change_of_leader_and_ends_while_none_lives(
    stage: Stage, meanwhile: Meanwhile
) -> None:
    catch_up = {"mode": "all", "window": "4h"}
    stage.apply(schedule="every 10m", overlap="allow", catch_up=catch_up)
    pause(stage, seconds=35 * 60, meanwhile=meanwhile)
    stage.restart(after=15 * 60)
    stage.restart(after=40 * 60)
    made = {
        Meanwhile.DROP: ["paused"] * 3,
        Meanwhile.LATEST: ["paused"] * 2 + ["started"],
        Meanwhile.ALL: ["started"] * 3,
    }
    # What came due after the end, while no leader lived, goes by the catch-up rule.
    expected = [*made[meanwhile], "started", "started"]
    numbered = [(10 * n, what) for n, what in enumerate(expected, start=1)]
    assert outcomes(stage) == numbered


def test_pauses_on_and_off_decide_nothing_twice(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    for _ in range(5):
        pause(stage, meanwhile=Meanwhile.ALL)
        stage.live_through(90)
        resume(stage)
    assert outcomes(stage) == [(n, "started") for n in range(1, 8)]


def test_what_was_disabled_before_stays_disabled(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.ask(SetJobEnabled(key(), False))
    pause(stage, WORKSPACE, seconds=90, meanwhile=Meanwhile.ALL)
    stage.live_through(180)
    assert outcomes(stage) == [(1, "disabled"), (2, "disabled"), (3, "disabled")]


def test_an_earlier_pause_goes_on_when_a_later_one_ends(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    first = pause(stage, JOB)
    stage.live_through(30)
    pause(stage, WORKSPACE, seconds=60, meanwhile=Meanwhile.ALL)
    pause(stage, JOB, seconds=60)
    stage.live_through(150)
    assert outcomes(stage) == [(1, "paused"), (2, "paused"), (3, "paused")]
    assert {row.holder for row in stage.decisions()} == {first.id}
    assert [one.id for one in stage.core.pauses] == [first.id]


def test_what_the_first_pause_leaves_undecided_falls_to_the_next(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    pause(stage, JOB, seconds=90, meanwhile=Meanwhile.ALL)
    other = pause(stage, WORKSPACE, seconds=150)
    stage.live_through(90)
    (row,) = stage.decisions()
    assert (row.reason, row.holder) == ("paused", other.id)
    stage.live_through(90)
    assert outcomes(stage) == [(1, "paused"), (2, "paused"), (3, "started")]


@pytest.mark.parametrize("keys", [{"schedule": "every 7m"}, {}])
def test_an_edit_loses_none_of_the_due_times_that_a_pause_has_kept(
    stage: Stage, keys: dict[str, str]
) -> None:
    stage.apply(schedule="every 1m")
    pause(stage, meanwhile=Meanwhile.ALL)
    stage.live_through(120)
    stage.apply(**keys)
    assert outcomes(stage) == [(1, "paused"), (2, "paused")]


def test_a_renamed_schedule_keeps_what_is_undecided(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    pause(stage, meanwhile=Meanwhile.ALL)
    stage.live_through(120)
    stage.apply(schedule={"name": "other", "every": "1m"}, overlap="allow")
    resume(stage)
    assert outcomes(stage) == [(1, "started"), (2, "started")]


def test_a_deleted_job_decides_what_was_kept_and_takes_its_pauses_along(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m")
    pause(stage, meanwhile=Meanwhile.LATEST)
    stage.live_through(60)
    stage.ask(DeleteJob(key()))
    assert outcomes(stage) == [(1, "paused")]
    stage.apply(schedule="every 1m")
    stage.live_through(60)
    assert outcomes(stage) == [(1, "paused"), (2, "started")]


def test_a_paused_job_can_be_run_by_hand(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    pause(stage)
    stage.connect()
    stage.submit()
    assert len(stage.leases()) == 1


def test_a_paused_queue_leases_nothing_and_keeps_its_due_times(stage: Stage) -> None:
    stage.apply(schedule="every 1m", queue="low")
    stage.apply(name="other")
    pause(stage, Scope(PauseKind.QUEUE, queue="low"), seconds=90)
    stage.connect(slots=9)
    stage.wait(60)
    stage.submit(submission("other"))
    assert [one.execution.spec.name for one in stage.leases()] == ["other"]
    stage.restart(after=1)
    stage.connect(slots=9)
    stage.wait(1)
    assert "backup" not in [one.execution.spec.name for one in stage.leases()]
    stage.wait(28)
    assert stage.leases()[-1].execution.spec.name == "backup"


def test_a_queue_paused_twice_opens_with_the_last_end(stage: Stage) -> None:
    low = Scope(PauseKind.QUEUE, queue="low")
    pause(stage, low, seconds=10)
    pause(stage, low, seconds=20)
    stage.live_through(10)
    assert stage.core.waiting.queues["low"].is_paused
    stage.live_through(10)
    assert not stage.core.waiting.queues["low"].is_paused


def test_a_long_pause_of_a_busy_schedule_shares_a_record(stage: Stage) -> None:
    stage.apply(schedule="every 1s")
    pause(stage)
    stage.live_through(300)
    rows = stage.decisions()
    assert len(rows) == COLLAPSE_ABOVE + 1
    last = rows[-1]
    assert last.due_at == NOON + (COLLAPSE_ABOVE + 1) * SECOND
    assert (last.until, last.due_times) == (NOON + 300 * SECOND, 300 - COLLAPSE_ABOVE)
    resume(stage)
    stage.live_through(2)
    assert [row.reason for row in stage.decisions()[-2:]] == ["", "overlap"]


def test_another_reason_begins_the_count_anew(stage: Stage) -> None:
    stage.apply(schedule="every 1s")
    pause(stage)
    stage.live_through(COLLAPSE_ABOVE + 9)
    resume(stage)
    stage.ask(SetJobEnabled(key(), False))
    stage.live_through(COLLAPSE_ABOVE + 9)
    rows = stage.decisions()
    assert [row.reason for row in rows if row.until] == ["paused", "disabled"]
    assert sum(row.due_times or 0 for row in rows) == 2 * (COLLAPSE_ABOVE + 9)


def test_every_due_time_of_a_long_row_is_in_exactly_one_record(stage: Stage) -> None:
    stage.apply(schedule="every 1s")
    pause(stage)
    for seconds in (1, 30, 59, 2, 55, 1, 40):
        stage.wait(seconds)
    covered = [
        due
        for row in stage.decisions()
        for due in range(row.due_at, (row.until or row.due_at) + 1, SECOND)
    ]
    assert covered == [NOON + n * SECOND for n in range(1, 189)]


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        (Scope(PauseKind.JOB, *key("nobody")), JobNotFoundError),
        (Scope(PauseKind.QUEUE, queue="nobody"), QueueNotFoundError),
        (Scope(PauseKind.WORKSPACE, NAMESPACE, "nowhere"), InvalidError),
        (Scope(PauseKind.NAMESPACE, "nowhere"), InvalidError),
        (Scope(PauseKind.SCHEDULE, NAMESPACE, schedule="x"), ScheduleNotFoundError),
        (Scope(PauseKind.SCHEDULE, *key(), "nobody"), ScheduleNotFoundError),
    ],
)
def test_what_does_not_exist_cannot_be_paused(
    stage: Stage, scope: Scope, error: type[Exception]
) -> None:
    stage.apply(schedule="every 1m")
    with pytest.raises(error):
        pause(stage, scope)
    assert not stage.core.pauses


def test_bad_pauses_are_refused_and_change_nothing(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    with pytest.raises(InvalidError, match="in the past"):
        pause(stage, seconds=0)
    low = Scope(PauseKind.QUEUE, queue="low")
    with pytest.raises(InvalidError, match="no meaning for a queue"):
        pause(stage, low, meanwhile=Meanwhile.ALL)
    with pytest.raises(PauseNotFoundError, match=r'job "backup" is not paused'):
        resume(stage)
    with pytest.raises(PauseNotFoundError, match="pause p0 is not in force"):
        stage.ask(EndPauses(pause_id="p0", who="bob"))
    assert not stage.core.pauses


def test_a_schedule_is_named_by_its_id_or_by_its_name_in_the_job(stage: Stage) -> None:
    job = stage.apply(schedule={"name": "often", "every": "1m"})
    (id_,) = job.schedules
    by_name = pause(stage, Scope(PauseKind.SCHEDULE, *key(), "often"))
    by_id = pause(stage, Scope(PauseKind.SCHEDULE, NAMESPACE, schedule=id_))
    assert by_name.scope == by_id.scope == Scope(PauseKind.SCHEDULE, *key(), id_)


def test_one_pause_can_be_ended_by_its_id(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    first, second = pause(stage), pause(stage)
    stage.ask(EndPauses(pause_id=first.id, who="bob"))
    assert [one.id for one in stage.core.pauses] == [second.id]


# Failures in a row.


def run(stage: Stage, move: Move = Move.FAIL) -> None:
    """Run the job once by hand, and let it end so."""
    session = stage.core.live.sessions_by_worker.get("id-of-w1") or stage.connect()
    stage.submit()
    (fence,) = session.leases
    stage.start(session, fence)
    stage.end(session, fence, move)


def test_a_job_is_paused_after_as_many_failures_in_a_row_as_it_says(
    stage: Stage,
) -> None:
    stage.apply(pause_after_failures=3, schedule="every 1h")
    for move in (Move.FAIL, Move.TIME_OUT):
        run(stage, move)
    assert not stage.core.pauses
    run(stage, Move.LOSE)
    (made,) = stage.core.pauses
    assert (made.scope, made.who) == (JOB, "pause_after_failures")
    assert made.note == "3 failures in a row"
    assert [fact.pause for fact in stage.said(PauseBegan)] == [made]
    for _ in range(4):
        run(stage)
    assert len(list(stage.core.pauses)) == 1


def test_a_success_begins_the_count_anew_and_a_cancelled_run_does_not_count(
    stage: Stage,
) -> None:
    stage.apply(pause_after_failures=2)
    for move in (Move.FAIL, Move.SUCCEED, Move.FAIL, Move.CANCEL):
        run(stage, move)
    assert not stage.core.pauses
    run(stage)
    assert stage.core.pauses


def test_failures_in_a_row_survive_a_change_of_leader(stage: Stage) -> None:
    stage.apply(pause_after_failures=2)
    run(stage)
    stage.restart(after=1)
    stage.connect()
    run(stage)
    stage.restart(after=1)
    assert [one.who for one in stage.core.pauses] == ["pause_after_failures"]
    resume(stage)
    stage.connect()
    run(stage)
    assert not stage.core.pauses


def test_jobs_that_do_not_ask_write_nothing_about_failures(stage: Stage) -> None:
    stage.apply()
    session = stage.connect()
    stage.submit()
    (fence,) = session.leases
    changes = stage.end(session, fence, Move.FAIL).changes
    assert not changes.failure_streaks
    assert not changes.pauses


# Beside the other kinds of schedules.


@pytest.mark.parametrize("meanwhile", list(Meanwhile))
def test_a_period_from_the_end_goes_on_after_a_pause(
    stage: Stage, meanwhile: Meanwhile
) -> None:
    stage.apply(schedule={"every": "1m", "from": "end"})
    pause(stage, seconds=150, meanwhile=meanwhile)
    stage.live_through(150)
    kept = meanwhile is not Meanwhile.DROP
    expected = [(1, "started")] if kept else [(1, "paused"), (2, "paused")]
    assert outcomes(stage) == expected
    run_all(stage)
    stage.live_through(60)
    assert outcomes(stage)[-1][1] == "started"
    assert len(stage.rows()) == 2 - (not kept)


def run_all(stage: Stage) -> None:
    session = stage.core.live.sessions_by_worker.get("id-of-w1") or stage.connect()
    for fence in tuple(session.leases):
        stage.end(session, fence)


def test_starts_that_jitter_puts_off_are_paused_too(stage: Stage) -> None:
    stage.apply(schedule={"every": "1m", "jitter": "30s"}, overlap="allow")
    pause(stage, seconds=150)
    stage.live_through(240)
    assert outcomes(stage) == [
        (1, "paused"),
        (2, "paused"),
        (3, "started"),
    ] + [(4, "started")] * (len(outcomes(stage)) - 3)
