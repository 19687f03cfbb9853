"""Due times that meet executions of their own job: skip, allow, queue, replace."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.state.effects import CancelWanted
from jobs_grpc.controlplane.core.state.inputs import Cancel, DeleteJob
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import HOUR, NAMESPACE, NOON, SECOND, key, submission
from support.stage import Stage


def states(stage: Stage) -> list[str]:
    """Return the state of every execution, the oldest first; held ones say so."""
    found = []
    for row in stage.rows():
        execution = stage.core.live.executions.get(row.id)
        is_held = execution is not None and execution.hold is not None
        found.append("held" if is_held else row.state)
    return found


def reasons(stage: Stage) -> list[str]:
    return [row.reason or row.outcome for row in stage.decisions()]


def cancel(stage: Stage, execution_id: str) -> None:
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=execution_id, reason="enough"))


def test_a_queued_due_time_waits_for_the_one_before_and_then_runs(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="queue", timeout="1h")
    session = stage.connect(slots=5)
    stage.wait(60)
    stage.wait(60)
    assert states(stage) == ["pending", "held"]
    (first,) = session.leases
    step = stage.end(session, first)
    assert states(stage) == ["succeeded", "pending"]
    # The end, the release and the next lease are one commit.
    assert len(step.changes.ended) == len(step.changes.deleted_holds) == 1
    assert [row.phase for row in step.changes.moved] == ["leased"]


def test_a_queued_decision_has_started_and_names_whom_it_waits_for(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    stage.live_through(120)
    first, second = stage.rows()
    decided = stage.decisions()[1]
    assert (decided.outcome, decided.execution_id) == ("started", second.id)
    assert decided.holder == first.id


def test_beyond_the_limit_of_the_queue_due_times_are_skipped(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap={"policy": "queue", "max": 2})
    stage.live_through(240)
    assert reasons(stage) == ["started"] * 3 + ["limit"]
    assert stage.decisions()[3].holder == stage.rows()[0].id


def test_what_is_queued_runs_one_after_another_in_the_order_of_due_times(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1s", overlap="queue")
    session = stage.connect(slots=9)
    stage.live_through(4)
    for n in range(4):
        assert states(stage) == ["succeeded"] * n + ["pending"] + ["held"] * (3 - n)
        (fence,) = session.leases
        stage.end(session, fence)


@pytest.mark.parametrize("move", [Move.FAIL, Move.TIME_OUT, Move.LOSE])
def test_any_end_lets_the_next_one_go(stage: Stage, move: Move) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    session = stage.connect()
    stage.wait(60)
    stage.wait(60)
    (fence,) = session.leases
    stage.start(session, fence)
    stage.end(session, fence, move)
    assert states(stage)[1] == "pending"


def test_a_held_execution_can_be_cancelled_and_the_next_keeps_its_turn(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    stage.live_through(180)
    first, second, _ = stage.rows()
    cancel(stage, second.id)
    assert states(stage) == ["pending", "cancelled", "held"]
    cancel(stage, first.id)
    assert states(stage) == ["cancelled", "cancelled", "pending"]


def test_a_cancelled_job_leaves_nothing_held(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    stage.live_through(240)
    stage.ask(Cancel(namespace=NAMESPACE, job=key(), reason="enough"))
    assert states(stage) == ["cancelled"] * 4


def test_what_is_held_survives_a_change_of_leader(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    session = stage.connect()
    for _ in range(3):
        stage.wait(60)
    (fence,) = session.leases
    stage.restart(after=1)
    assert states(stage) == ["pending", "held", "held"]
    again = stage.core.live.sessions[session.id]
    stage.end(again, fence)
    assert states(stage) == ["succeeded", "pending", "held"]


def test_runs_by_hand_hold_off_a_queued_due_time_but_are_never_held(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    by_hand = stage.submit(submission(), submission())
    stage.wait(60)
    assert states(stage) == ["pending", "pending", "held"]
    cancel(stage, by_hand[0])
    assert states(stage)[2] == "held"
    cancel(stage, by_hand[1])
    assert states(stage)[2] == "pending"


def test_an_execution_for_a_later_instant_holds_nothing_off(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    stage.submit(submission(not_before=NOON + HOUR))
    stage.live_through(120)
    assert states(stage) == ["scheduled", "pending", "held"]
    cancel(stage, stage.rows()[1].id)
    assert states(stage)[2] == "pending"


def test_a_deleted_job_ends_what_was_held_and_lets_the_rest_run(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    stage.live_through(120)
    stage.ask(DeleteJob(key()))
    assert states(stage) == ["pending", "cancelled"]
    assert stage.rows()[1].error == "the job was deleted"


def test_an_edited_policy_still_lets_go_what_is_held(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    stage.live_through(180)
    stage.apply(schedule="every 1m", overlap={"policy": "allow", "max": 2})
    cancel(stage, stage.rows()[0].id)
    assert states(stage) == ["cancelled", "pending", "pending"]


def test_a_replaced_run_is_ended_first_and_only_then_the_next_starts(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="replace")
    session = stage.connect(slots=5)
    stage.wait(60)
    (fence,) = session.leases
    stage.start(session, fence)
    stage.wait(60)
    assert states(stage) == ["cancelling", "held"]
    (wanted,) = stage.said(CancelWanted)
    assert wanted.fence == fence
    assert "replaced by the run due at 2026-03-02T12:02:00Z" in wanted.reason
    assert list(session.leases) == [fence]
    stage.end(session, fence, Move.CANCEL)
    assert states(stage) == ["cancelled", "pending"]
    assert [one.execution.id for one in stage.leases()] == [
        row.id for row in stage.rows()
    ]


def test_a_run_that_only_waits_is_replaced_at_once(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="replace")
    stage.live_through(120)
    first, second = stage.rows()
    assert states(stage) == ["cancelled", "pending"]
    assert "replaced" in first.error
    decided = stage.decisions()[1]
    assert (decided.execution_id, decided.holder) == (second.id, first.id)


def test_the_latest_due_time_wins_while_the_first_run_takes_long_to_end(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1s", overlap="replace")
    session = stage.connect(slots=5)
    stage.wait(1)
    (fence,) = session.leases
    stage.start(session, fence)
    stage.live_through(3)
    assert states(stage) == ["cancelling", "cancelled", "cancelled", "held"]
    stage.end(session, fence, Move.CANCEL)
    assert states(stage)[3] == "pending"
    assert stage.rows()[3].scheduled_for == NOON + 4 * SECOND
    assert reasons(stage) == ["started"] * 4


def test_a_replaced_run_whose_worker_is_gone_does_not_block_for_ever(
    stage: Stage,
) -> None:
    stage.apply(schedule="every 1m", overlap="replace")
    session = stage.connect()
    stage.wait(60)
    (fence,) = session.leases
    stage.start(session, fence)
    stage.wait(60)
    stage.cut(session)
    stage.live_through(40)
    assert states(stage) == ["lost", "pending"]


def test_a_replacing_run_survives_a_change_of_leader(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="replace")
    session = stage.connect()
    stage.wait(60)
    (fence,) = session.leases
    stage.start(session, fence)
    stage.wait(60)
    stage.restart(after=1)
    assert states(stage) == ["cancelling", "held"]
    stage.end(stage.core.live.sessions[session.id], fence, Move.CANCEL)
    assert states(stage) == ["cancelled", "pending"]
