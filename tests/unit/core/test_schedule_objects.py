"""Schedules made, changed, switched and removed one by one."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.errors import (
    InvalidError,
    JobNotFoundError,
    RevisionMismatchError,
    ScheduleExistsError,
    ScheduleNotFoundError,
    ScheduleOwnedError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    DeleteJob,
    DeleteSchedule,
    PutSchedule,
    SetScheduleEnabled,
)
from jobs_grpc.controlplane.core.state.live import Schedule
from jobs_grpc.controlplane.leader.schedule_entries import made
from support.jobs import HOUR, MINUTE, NOON, SECOND, document, key
from support.stage import Stage


def put(
    stage: Stage,
    name: str = "extra",
    *,
    job: str = "backup",
    revision: int = 0,
    **entry: Any,
) -> Schedule:
    spec, text = made(document(name=job), name, entry)
    answer = stage.ask(PutSchedule(key(job), spec, text, revision))
    assert isinstance(answer, Schedule)
    return answer


def switch(stage: Stage, name: str, *, enabled: bool, **more: Any) -> Schedule:
    answer = stage.ask(SetScheduleEnabled(key(), name, enabled, **more))
    assert isinstance(answer, Schedule)
    return answer


def started(stage: Stage) -> list[int]:
    """Return the due times that started something, in seconds after noon."""
    return [
        (row.due_at - NOON) // SECOND
        for row in stage.decisions()
        if row.outcome == "started"
    ]


@pytest.fixture
def job(stage: Stage) -> None:
    stage.apply(overlap="allow", params={"size": {"type": "string", "default": "s"}})


@pytest.mark.usefixtures("job")
def test_one_that_is_made_is_due_after_its_making_with_its_own_params(
    stage: Stage,
) -> None:
    stage.now += 90 * SECOND
    put(stage, every="1m")
    assert started(stage) == []
    stage.live_through(60)
    assert started(stage) == [120]
    assert stage.rows()[0].schedule_id == stage.decisions()[0].schedule_id


@pytest.mark.usefixtures("job")
def test_it_is_there_in_the_next_term_and_goes_on_where_it_was(stage: Stage) -> None:
    put(stage, every="1m")
    stage.live_through(60)
    stage.restart(after=60)
    assert started(stage) == [60, 120]
    (schedule,) = stage.job().schedules.values()
    assert schedule.object is not None
    assert schedule.object.revision == 1
    assert not schedule.is_of_document


@pytest.mark.usefixtures("job")
def test_applying_the_document_leaves_it_alone(stage: Stage) -> None:
    put(stage, every="1m")
    stage.apply(overlap="allow", description="new", schedule="every 1h")
    assert {one.spec.name for one in stage.job().schedules.values()} == {"extra", ""}
    stage.live_through(60)
    assert started(stage) == [60]


@pytest.mark.usefixtures("job")
def test_a_new_rule_counts_from_the_change_on(stage: Stage) -> None:
    put(stage, every="1h")
    stage.live_through(30 * 60)
    put(stage, revision=1, every="1m")
    stage.live_through(60)
    assert started(stage) == [31 * 60]


@pytest.mark.usefixtures("job")
def test_a_change_of_something_else_keeps_its_place(stage: Stage) -> None:
    put(stage, every="1h")
    cursor = next(iter(stage.job().schedules.values())).cursor
    stage.wait(60)
    changed = put(stage, revision=1, every="1h", enabled=False)
    assert changed.cursor == cursor
    assert changed.object is not None
    assert changed.object.revision == 2


@pytest.mark.usefixtures("job")
def test_edits_in_every_second_fire_nothing_twice_and_nothing_in_hindsight(
    stage: Stage,
) -> None:
    put(stage, every="1s")
    for revision in range(1, 11):
        stage.now += SECOND + 1_000
        put(
            stage,
            revision=revision,
            cron="* * * * * *" if revision % 2 else "*/1 * * * * *",
        )
    stage.live_through(2)
    due = [(row.schedule_id, row.due_at) for row in stage.decisions()]
    assert len(due) == len(set(due))
    assert all(row.decided_at - row.due_at < SECOND for row in stage.decisions())
    assert started(stage) == sorted(set(started(stage)))


@pytest.mark.usefixtures("job")
def test_two_changes_from_one_state_do_not_both_count(stage: Stage) -> None:
    put(stage, every="1h")
    put(stage, revision=1, every="2h")
    with pytest.raises(RevisionMismatchError):
        put(stage, revision=1, every="3h")


@pytest.mark.usefixtures("job")
def test_a_removed_one_is_gone_for_good(stage: Stage) -> None:
    put(stage, every="1m")
    stage.ask(DeleteSchedule(key(), "extra"))
    stage.live_through(120)
    assert started(stage) == []
    stage.restart()
    assert not stage.job().schedules
    put(stage, every="1m")
    stage.live_through(60)
    assert started(stage) == [180]


@pytest.mark.usefixtures("job")
def test_a_removed_job_takes_its_schedules_along(stage: Stage) -> None:
    put(stage, every="1m")
    stage.ask(DeleteJob(key()))
    stage.apply()
    stage.restart()
    assert not stage.job().schedules


def test_names_are_unique_in_a_job(stage: Stage) -> None:
    stage.apply(schedule={"every": "1h", "name": "hourly"})
    put(stage, every="1m")
    with pytest.raises(ScheduleExistsError, match='has a schedule "extra" already'):
        put(stage, every="2m")
    with pytest.raises(ScheduleExistsError, match="already"):
        put(stage, "hourly", every="2m")
    with pytest.raises(ScheduleExistsError, match="made through the API"):
        stage.apply(schedule={"every": "1h", "name": "extra"})


def test_those_of_a_document_are_changed_there(stage: Stage) -> None:
    stage.apply(schedule={"every": "1h", "name": "hourly"})
    with pytest.raises(ScheduleOwnedError, match="defined by the document"):
        put(stage, "hourly", revision=1, every="2m")
    with pytest.raises(ScheduleOwnedError):
        stage.ask(DeleteSchedule(key(), "hourly"))


def test_what_is_not_there_is_said_by_name(stage: Stage) -> None:
    with pytest.raises(JobNotFoundError):
        put(stage, every="1h")
    stage.apply()
    with pytest.raises(ScheduleNotFoundError, match='no schedule "x"'):
        stage.ask(DeleteSchedule(key(), "x"))
    with pytest.raises(ScheduleNotFoundError):
        put(stage, revision=3, every="1h")
    with pytest.raises(ScheduleNotFoundError):
        switch(stage, "", enabled=True)


def test_switching_outlives_an_apply_and_a_term(stage: Stage) -> None:
    keys = {"overlap": "allow", "schedule": {"every": "1m", "name": "often"}}
    stage.apply(**keys)
    switch(stage, "often", enabled=False, reason="too loud")
    stage.apply(**keys, description="new")
    # Another rule under the same name is the same schedule.
    stage.apply(overlap="allow", schedule={"every": "2m", "name": "often"})
    stage.restart()
    stage.live_through(120)
    (decision,) = stage.decisions()
    assert (decision.outcome, decision.reason) == ("skipped", "disabled")
    (schedule,) = stage.job().schedules.values()
    assert schedule.disabled_reason == "too loud"
    switch(stage, "often", enabled=True)
    assert schedule.object is not None
    assert schedule.object.enabled is None
    stage.live_through(120)
    assert started(stage) == [240]


def test_one_that_is_disabled_until_an_instant_comes_back_by_itself(
    stage: Stage,
) -> None:
    stage.apply(overlap="allow", schedule={"every": "1m", "name": "often"})
    switch(stage, "often", enabled=False, until=NOON + 2 * MINUTE)
    stage.live_through(60)
    stage.restart()
    stage.live_through(120)
    assert [row.reason for row in stage.decisions()] == ["disabled", "", ""]
    with pytest.raises(InvalidError, match="is in the past"):
        switch(stage, "often", enabled=False, until=NOON)


def test_a_document_may_disable_until_an_instant(stage: Stage) -> None:
    stage.apply(
        overlap="allow",
        schedule={"every": "1m", "disabled_until": "2026-03-02T12:02:00Z"},
    )
    stage.live_through(180)
    assert [row.reason for row in stage.decisions()] == ["disabled", "", ""]


def test_an_outage_while_disabled_is_recorded_as_that(stage: Stage) -> None:
    stage.apply(schedule={"every": "10m", "name": "often"})
    switch(stage, "often", enabled=False)
    stage.restart(after=3 * HOUR / SECOND)
    assert {row.reason for row in stage.decisions()} == {"disabled"}
