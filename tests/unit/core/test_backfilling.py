"""Backfills in the core: a few at a time, none twice, in every term."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from jobs_grpc.controlplane.core.rows.schedules import BackfillRow
from jobs_grpc.controlplane.core.state.backfill import Backfill, BackfillState
from jobs_grpc.controlplane.core.state.effects import BackfillMoved
from jobs_grpc.controlplane.core.state.errors import (
    BackfillNotFoundError,
    InvalidError,
    JobNotFoundError,
    NotRunningError,
    RevisionMismatchError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    BeginBackfill,
    ChangeBackfill,
    DeleteJob,
)
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.leader.backfills import kept
from support.jobs import DAY, HOUR, NAMESPACE, NOON, SECOND, key
from support.stage import Stage, finish

_ids = count(1)


def begin(stage: Stage, *, hours: int = 6, **fields: Any) -> Backfill:
    """Begin a backfill of the last hours before the stage began."""
    job = stage.job()
    schedules = tuple(job.schedules.values())
    ids = [one.spec.id for one in schedules]
    start, end = fields.pop("start", NOON - hours * HOUR), fields.pop("end", NOON)
    started: dict[str, set[int]] = {id_: set() for id_ in ids}
    for id_, due in finish(stage.store.started(ids, start=start, end=end)):
        started[id_].add(due)
    values: dict[str, Any] = {
        "id": f"backfill-{next(_ids)}",
        "key": job.spec.key,
        "revision": job.revision,
        "schedules": tuple(one.spec for one in schedules),
        "schedules_json": kept(schedules),
        "start": start,
        "end": end,
        "newest_first": False,
        "parallel": 1,
        "priority": 5,
        "total": hours,
        "started": started,
        "generation": stage.core.backfills.generation,
        "requested_by": "alice",
    }
    answer = stage.ask(BeginBackfill(**{**values, **fields}))
    assert isinstance(answer, Backfill)
    return answer


def change(stage: Stage, backfill: Backfill, state: BackfillState) -> None:
    stage.ask(
        ChangeBackfill(
            namespace=NAMESPACE, id=backfill.id, state=state, reason="by alice"
        )
    )


def kept_row(stage: Stage, backfill: Backfill) -> BackfillRow:
    (row,) = finish(
        stage.store.find_backfills(namespace=NAMESPACE, prefix=backfill.id, limit=1)
    )
    return row


def due_hours(stage: Stage) -> list[int]:
    """Return the due times of what backfills have created, in hours before noon."""
    return [
        (NOON - row.scheduled_for) // HOUR
        for row in stage.rows()
        if row.trigger == "backfill"
    ]


def work_off(stage: Stage, slots: int = 8) -> None:
    """Let a worker run everything that there is."""
    session = stage.connect(f"w{stage.streams}", slots=slots)
    while session.leases:
        for fence in tuple(session.leases):
            stage.end(session, fence)


@pytest.fixture
def hourly(stage: Stage) -> Stage:
    stage.apply(schedule="@hourly")
    return stage


def test_a_few_at_a_time_and_the_end_of_one_makes_room_for_the_next(
    hourly: Stage,
) -> None:
    begin(hourly, parallel=2)
    assert due_hours(hourly) == [6, 5]
    session = hourly.connect(slots=8)
    assert len(session.leases) == 2
    step = hourly.end(session, min(session.leases))
    assert len(step.changes.created) == 1
    assert due_hours(hourly) == [6, 5, 4]
    assert len(session.leases) == 2


def test_it_ends_when_every_due_time_was_dealt_with(hourly: Stage) -> None:
    backfill = begin(hourly, parallel=4)
    work_off(hourly)
    row = kept_row(hourly, backfill)
    assert due_hours(hourly) == [6, 5, 4, 3, 2, 1]
    assert (row.state, row.started, row.succeeded) == ("completed", 6, 6)
    assert row.finished_at == hourly.now
    assert row.cursor == NOON - HOUR
    assert not hourly.core.backfills
    outcomes = [one.outcome for one in hourly.said(BackfillMoved)]
    assert outcomes == ["created", "completed"]


def test_newest_first(hourly: Stage) -> None:
    begin(hourly, newest_first=True)
    work_off(hourly)
    assert due_hours(hourly) == [1, 2, 3, 4, 5, 6]


def test_its_executions_carry_the_due_time_and_say_whose_they_are(
    hourly: Stage,
) -> None:
    backfill = begin(hourly)
    (row,) = hourly.rows()
    assert row.scheduled_for == NOON - 6 * HOUR
    assert (row.trigger, row.requested_by) == ("backfill", f"backfill:{backfill.id}")
    assert row.schedule_id in hourly.job().schedules
    assert row.priority == 5


def test_how_they_ended_is_counted(hourly: Stage) -> None:
    backfill = begin(hourly, parallel=3)
    session = hourly.connect(slots=3)
    moves = {Move.FAIL: "failed", Move.CANCEL: "cancelled", Move.SUCCEED: "succeeded"}
    for fence, move in zip(tuple(session.leases), moves, strict=True):
        hourly.end(session, fence, move)
    row = kept_row(hourly, backfill)
    assert (row.failed, row.cancelled, row.succeeded) == (1, 1, 1)


def test_due_times_that_their_schedule_started_are_left_out(stage: Stage) -> None:
    stage.apply(schedule="@hourly", overlap="allow")
    stage.live_through(2 * HOUR / SECOND)
    backfill = begin(stage, start=NOON - HOUR, end=NOON + 2 * HOUR, total=3)
    work_off(stage)
    # Noon itself was the beginning of the schedule, which decides what comes after it.
    assert due_hours(stage) == [1, 0]
    row = kept_row(stage, backfill)
    assert (row.started, row.left_out) == (2, 1)


def test_two_backfills_of_one_range_start_nothing_twice(hourly: Stage) -> None:
    first = begin(hourly, parallel=2)
    second = begin(hourly, parallel=2, newest_first=True)
    work_off(hourly)
    assert sorted(due_hours(hourly)) == [1, 2, 3, 4, 5, 6]
    rows = kept_row(hourly, first), kept_row(hourly, second)
    assert [row.started + row.left_out for row in rows] == [6, 6]
    assert sum(row.started for row in rows) == 6
    third = begin(hourly)
    assert (third.state, third.left_out) == (BackfillState.COMPLETED, 6)


def test_an_instant_that_two_schedules_name_starts_once(stage: Stage) -> None:
    stage.apply(schedule=["0 * * * *", "0 */2 * * *"])
    begin(stage, parallel=9)
    work_off(stage)
    assert due_hours(stage) == [6, 5, 4, 3, 2, 1]
    assert begin(stage).left_out == 6


def test_the_next_term_goes_on_where_it_was(hourly: Stage) -> None:
    backfill = begin(hourly, parallel=2)
    session = hourly.connect(slots=2)
    hourly.end(session, min(session.leases))
    hourly.restart()
    assert due_hours(hourly) == [6, 5, 4]
    assert len(hourly.core.backfills._all[backfill.id].active) == 2
    # The leases of the dead term come to their end here.
    hourly.wait(300)
    work_off(hourly)
    row = kept_row(hourly, backfill)
    assert due_hours(hourly) == [6, 5, 4, 3, 2, 1]
    assert (row.state, row.started) == ("completed", 6)
    assert row.succeeded + row.failed == 6


@pytest.mark.parametrize("edit", [{"schedule": "@daily"}, {}])
def test_an_edit_of_the_job_changes_no_due_time_of_it(
    hourly: Stage, edit: dict[str, Any]
) -> None:
    begin(hourly)
    hourly.apply(**edit, description="new")
    hourly.restart()
    work_off(hourly)
    assert due_hours(hourly) == [6, 5, 4, 3, 2, 1]


def test_a_paused_one_starts_nothing_until_it_is_resumed(hourly: Stage) -> None:
    backfill = begin(hourly, parallel=2)
    change(hourly, backfill, BackfillState.PAUSED)
    work_off(hourly)
    assert due_hours(hourly) == [6, 5]
    hourly.restart()
    assert due_hours(hourly) == [6, 5]
    assert kept_row(hourly, backfill).state == "paused"
    change(hourly, backfill, BackfillState.RUNNING)
    work_off(hourly)
    assert due_hours(hourly) == [6, 5, 4, 3, 2, 1]
    with pytest.raises(BackfillNotFoundError):
        change(hourly, backfill, BackfillState.PAUSED)


def test_cancelling_ends_what_waits_and_awaits_what_runs(hourly: Stage) -> None:
    backfill = begin(hourly, parallel=3)
    session = hourly.connect(slots=1)
    change(hourly, backfill, BackfillState.CANCELLING)
    row = kept_row(hourly, backfill)
    assert (row.state, row.cancelled, row.reason) == ("cancelling", 2, "by alice")
    with pytest.raises(NotRunningError, match="being cancelled"):
        change(hourly, backfill, BackfillState.RUNNING)
    hourly.restart()
    (fence,) = hourly.core.live.by_fence
    session = hourly.connect(slots=0, held=())
    del session, fence
    hourly.wait(300)
    work_off(hourly)
    row = kept_row(hourly, backfill)
    assert row.state == "cancelled"
    assert due_hours(hourly) == [6, 5, 4]


def test_a_job_that_is_deleted_takes_its_backfills_along(hourly: Stage) -> None:
    backfill = begin(hourly, parallel=2)
    hourly.ask(DeleteJob(key()))
    row = kept_row(hourly, backfill)
    assert (row.state, row.reason) == ("cancelled", "the job was deleted")


def test_live_work_goes_first_and_is_not_skipped_because_of_it(stage: Stage) -> None:
    stage.apply(schedule="@hourly")
    stage.live_through(50 * 60)
    begin(stage, parallel=4)
    stage.live_through(10 * 60)
    assert [row.outcome for row in stage.decisions()] == ["started"]
    stage.submit_ad_hoc()
    stage.connect(slots=2)
    triggers = [one.execution.trigger for one in stage.leases()]
    assert "backfill" not in triggers
    assert len(triggers) == 2


def test_one_that_ends_at_once_in_masses_takes_several_steps(stage: Stage) -> None:
    stage.apply(
        schedule="* * * * *",
        command=["{{nobody_knows}}"],
    )
    begin(stage, start=NOON - 2 * DAY, parallel=2, total=2880)
    stage.connect(slots=4)
    assert 100 < len(stage.rows()) < 2880
    assert stage.wake_at == stage.now
    for _ in range(20):
        stage.step()
    assert len(stage.rows()) == 2880
    assert not stage.core.backfills


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": NOON, "end": NOON - HOUR}, "before it begins"),
        ({"start": NOON, "end": NOON}, "is empty"),
        ({"end": NOON + HOUR}, "in the future"),
        ({"parallel": 0}, "parallel is 1 to 100"),
        ({"parallel": 101}, "parallel is 1 to 100"),
        ({"priority": 6}, "priority is 1"),
    ],
)
def test_what_no_backfill_can_be_is_refused(
    hourly: Stage, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidError, match=message):
        begin(hourly, **fields)
    assert not hourly.rows()
    assert not hourly.core.backfills


def test_unknown_ones_are_said(hourly: Stage) -> None:
    with pytest.raises(JobNotFoundError):
        begin(hourly, key=key("nobody"))
    missing = ChangeBackfill(
        namespace=NAMESPACE, id="x", state=BackfillState.PAUSED, reason=""
    )
    with pytest.raises(BackfillNotFoundError):
        hourly.ask(missing)


def test_what_was_read_before_a_change_does_not_count(hourly: Stage) -> None:
    with pytest.raises(RevisionMismatchError):
        begin(hourly, generation=-1)
    with pytest.raises(RevisionMismatchError):
        begin(hourly, revision=0)


def test_a_namespace_has_a_hundred_unfinished_ones_at_most(hourly: Stage) -> None:
    for hour in range(100):
        begin(hourly, start=NOON - (hour + 1) * HOUR, end=NOON - hour * HOUR)
    with pytest.raises(InvalidError, match="100 unfinished"):
        begin(hourly)
