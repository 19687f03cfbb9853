from __future__ import annotations

from collections import Counter

from jobs_grpc.controlplane.core.state.effects import DueTimeSkipped
from jobs_grpc.controlplane.core.state.inputs import Cancel, SetJobEnabled
from jobs_grpc.controlplane.core.state.job import execution_id
from support.jobs import HOUR, MINUTE, NAMESPACE, NOON, SECOND, key, submission
from support.stage import Stage


def outcomes(stage: Stage) -> list[tuple[int, str, str]]:
    """Return (seconds after noon, outcome, reason) of every decision."""
    return [
        ((row.due_at - NOON) // SECOND, row.outcome, row.reason)
        for row in stage.decisions()
    ]


def test_a_due_time_is_decided_once_however_often_the_core_is_stepped(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    stage.wait(59)
    assert outcomes(stage) == []
    stage.wait(1)
    stage.wait(0)
    stage.wait(1)
    assert outcomes(stage) == [(60, "started", "")]
    assert len(stage.rows()) == 1


def test_decision_execution_and_cursor_are_rows_of_one_commit(stage: Stage) -> None:
    job = stage.apply(schedule="every 1m")
    (schedule,) = job.schedules.values()
    changes = stage.wait(60).changes
    due = NOON + MINUTE
    (decision,), (created,), (cursor,) = (
        changes.decisions,
        changes.created,
        changes.cursors,
    )
    assert decision.due_at == created.scheduled_for == cursor.cursor == due
    assert decision.execution_id == created.id == execution_id(schedule.spec.id, due)
    assert created.trigger == "schedule"
    assert created.requested_by == f"schedule:{schedule.spec.rule.canonical}"


def test_every_second_for_a_minute_is_sixty_decisions_and_sixty_executions(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1s")
    session = stage.connect(slots=2)
    for _ in range(60):
        stage.live_through(1)
        for fence in tuple(session.leases):
            stage.end(session, fence)
    dues = [NOON + n * SECOND for n in range(1, 61)]
    assert [row.due_at for row in stage.decisions()] == dues
    assert [row.outcome for row in stage.decisions()] == ["started"] * 60
    assert [row.scheduled_for for row in stage.rows()] == dues
    assert {row.state for row in stage.rows()} == {"succeeded"}


def test_the_core_asks_to_be_stepped_at_the_next_due_time(stage: Stage) -> None:
    stage.apply(schedule=["every 10m", "every 7m"])
    assert stage.wake_at is not None
    assert (stage.wake_at - NOON) % (7 * MINUTE) != 0  # anchored at the epoch, not here
    wakes = []
    for _ in range(5):
        wakes.append(stage.wake_at)
        stage.now = stage.wake_at
        stage.step()
    assert [row.due_at for row in stage.decisions()] == wakes


def test_late_due_times_of_one_step_are_all_decided(stage: Stage) -> None:
    stage.apply(schedule="every 1s", overlap="allow")
    stage.wait(5)
    assert outcomes(stage) == [(n, "started", "") for n in range(1, 6)]


def test_an_overlap_is_skipped_and_names_its_holder(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.wait(60)
    (holder,) = stage.rows()
    stage.wait(60)
    assert outcomes(stage) == [(60, "started", ""), (120, "skipped", "overlap")]
    assert stage.decisions()[1].holder == holder.id
    (fact,) = stage.said(DueTimeSkipped)
    assert (fact.key, fact.reason, fact.holder) == (key(), "overlap", holder.id)


def test_a_run_by_hand_holds_off_a_due_time_too(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    (holder,) = stage.submit()
    stage.wait(60)
    assert outcomes(stage) == [(60, "skipped", "overlap")]
    assert stage.decisions()[0].holder == holder


def test_an_execution_for_a_later_instant_does_not_hold_off_due_times(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m")
    (later,) = stage.submit(submission(not_before=NOON + HOUR))
    stage.wait(60)
    assert outcomes(stage) == [(60, "started", "")]
    assert stage.row(later).state == "scheduled"


def test_a_job_may_overlap_as_often_as_it_says(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap={"policy": "allow", "max": 2})
    stage.live_through(180)
    assert [reason for _, _, reason in outcomes(stage)] == ["", "", "limit"]


def test_an_end_in_the_step_before_makes_room(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.wait(60)
    (holder,) = stage.rows()
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=holder.id, reason="enough"))
    stage.wait(60)
    assert outcomes(stage) == [(60, "started", ""), (120, "started", "")]


def test_two_schedules_of_a_job_that_name_one_instant_start_it_once(
    stage: Stage,
) -> None:
    stage.apply(
        schedule=["every 1m", {"name": "other", "every": "1m"}], overlap="allow"
    )
    stage.wait(60)
    assert Counter(row.reason for row in stage.decisions()) == {"": 1, "duplicate": 1}
    assert len(stage.rows()) == 1


def test_duplicates_are_seen_among_several_late_instants(stage: Stage) -> None:
    stage.apply(
        schedule=["every 1s", {"name": "other", "every": "1s"}, "every 2s"],
        overlap="allow",
    )
    stage.wait(10)
    starts = [row.scheduled_for for row in stage.rows()]
    assert sorted(starts) == [NOON + n * SECOND for n in range(1, 11)]
    assert Counter(row.outcome for row in stage.decisions()) == {
        "started": 10,
        "skipped": 15,
    }


def test_schedules_of_two_jobs_do_not_see_one_another(stage: Stage) -> None:
    stage.apply(name="a", schedule="every 1m")
    stage.apply(name="b", schedule="every 1m")
    stage.wait(60)
    assert [row.job for row in stage.rows()] == ["a", "b"]


def test_a_disabled_job_has_its_due_times_recorded(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.ask(SetJobEnabled(key(), False))
    stage.live_through(120)
    stage.ask(SetJobEnabled(key(), True))
    stage.live_through(60)
    assert outcomes(stage) == [
        (60, "skipped", "disabled"),
        (120, "skipped", "disabled"),
        (180, "started", ""),
    ]


def test_a_disabled_schedule_leaves_the_others_of_its_job_alone(stage: Stage) -> None:
    stage.apply(
        schedule=[
            {"name": "off", "every": "1m", "enabled": False},
            {"name": "on", "every": "1m"},
        ]
    )
    stage.wait(60)
    assert {row.reason for row in stage.decisions()} == {"disabled", ""}
    assert len(stage.rows()) == 1


def test_a_disabled_job_can_be_run_by_hand(stage: Stage) -> None:
    stage.apply(enabled=False)
    (id_,) = stage.submit()
    assert stage.row(id_).state == "pending"


def test_a_clock_that_steps_back_fires_nothing_twice(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    stage.live_through(300)
    decided = outcomes(stage)
    stage.now -= HOUR
    stage.live_through(3_600)
    assert outcomes(stage) == decided
    stage.live_through(60)
    assert outcomes(stage) == [*decided, (360, "started", "")]


def test_a_clock_that_steps_back_over_a_restart_fires_nothing_twice(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    stage.live_through(300)
    stage.restart(after=-3_600)
    stage.live_through(3_660)
    assert len(stage.decisions()) == len(stage.rows()) == 6


def test_a_job_made_after_the_clock_stepped_back_fires_by_the_new_time(
    stage: Stage,
) -> None:
    stage.apply(name="old", schedule="every 1m", overlap="allow")
    stage.live_through(60)
    stage.now -= HOUR
    stage.apply(name="new", schedule="every 1m", overlap="allow")
    stage.live_through(120)
    assert len(stage.decisions("new")) == 2
    assert len(stage.decisions("old")) == 1


def test_a_schedule_renamed_after_the_clock_stepped_back_fires_nothing_twice(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="allow")
    stage.live_through(600)
    stage.now -= 5 * MINUTE
    stage.apply(schedule={"name": "renamed", "every": "1m"}, overlap="allow")
    stage.live_through(6 * 60)
    assert len(stage.rows()) == 11


def test_another_rule_for_the_same_instant_does_not_start_it_again(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 10m", overlap="allow")
    stage.live_through(600)
    stage.now -= 5 * MINUTE
    stage.apply(schedule="*/10 * * * *", overlap="allow")
    stage.live_through(5 * 60)
    assert outcomes(stage) == [(600, "started", ""), (600, "skipped", "duplicate")]


def test_a_lease_in_the_step_of_the_decision_is_part_of_the_same_row(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 10s")
    stage.connect()
    changes = stage.wait(10).changes
    assert [row.phase for row in changes.created] == ["leased"]
    assert changes.moved == ()


def test_the_params_of_a_schedule_win_over_the_defaults_of_the_job(
    stage: Stage,
) -> None:
    stage.apply(
        params={"who": "nobody", "what": "ping"},
        schedule={"every": "1m", "params": {"who": "alice"}},
    )
    stage.wait(60)
    (row,) = stage.rows()
    assert row.params_json == '{"who": "alice", "what": "ping"}'


def test_an_instant_is_due_once_and_never_again(stage: Stage) -> None:
    stage.apply(schedule={"at": "2026-03-02T12:01:00Z"})
    stage.live_through(3_600)
    assert outcomes(stage) == [(60, "started", "")]
    assert stage.wake_at is None
