"""What is kept of an execution besides its row: superseded attempts and events."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.state.inputs import Cancel, Held
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import DAY, MINUTE, NAMESPACE, NOON, SECOND
from support.stage import Stage


def kinds(stage: Stage, id_: str) -> list[str]:
    return [event["kind"] for event in stage.story(id_)]


def test_a_plain_execution_costs_no_further_row(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    step = stage.end(session, fence)
    assert (step.changes.attempts, step.changes.events) == ((), ())
    assert (stage.attempts(id_), stage.story(id_)) == ([], [])


def test_a_lease_that_was_taken_back_is_kept_with_its_reason(stage: Stage) -> None:
    stage.connect("w1")
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    first = stage.leases()[-1].fence
    stage.connect("w1")  # its worker comes back without the lease
    (attempt,) = stage.attempts(id_)
    assert (attempt.attempt, attempt.fence, attempt.worker) == (1, first, "w1")
    assert (attempt.outcome, attempt.leased_at) == ("released", NOON)
    released, leased = stage.story(id_)
    assert released["kind"] == "released"
    assert released["reason"] == "worker w1 does not have it"
    assert leased == {
        "kind": "leased",
        "at": NOON,
        "attempt": 2,
        "fence": stage.leases()[-1].fence,
        "worker": "w1",
    }


def test_what_a_worker_told_of_an_attempt_that_is_given_again_is_kept(
    stage: Stage,
) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    stage.now += SECOND
    stage.end(
        session,
        stage.leases()[-1].fence,
        Move.LOSE,
        error="the keeper died",
        started_at=NOON + 5,
        output_bytes=7,
    )
    (attempt,) = stage.attempts(id_)
    assert (attempt.error, attempt.output_bytes) == ("the keeper died", 7)
    assert (attempt.started_at, attempt.finished_at) == (NOON + 5, NOON + SECOND)


def test_a_lost_execution_tells_how_it_was_lost_and_resolved(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.cut(session)
    stage.live_through(60)
    assert stage.row(id_).state == "lost"
    held = Held(fence=fence, phase="finished")
    again = stage.connect(held=[held])
    stage.end(again, fence)
    assert stage.row(id_).state == "succeeded"
    lost, resolved = stage.story(id_)
    assert lost["kind"] == "lost"
    assert (lost["fence"], lost["worker"]) == (fence, "w1")
    assert "silence" in lost["reason"]
    assert (resolved["kind"], resolved["state"]) == ("resolved", "succeeded")


def test_a_late_report_of_a_superseded_attempt_is_refused_and_told(
    stage: Stage,
) -> None:
    frozen = stage.connect("w1")
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    stale = stage.leases()[-1].fence
    stage.cut(frozen)
    stage.live_through(60)
    other = stage.connect("w2")
    stage.end(other, stage.leases()[-1].fence)
    assert stage.row(id_).state == "succeeded"
    back = stage.connect("w1", held=[Held(fence=stale, phase="running")])
    stage.end(back, stale, Move.CANCEL)
    stage.end(back, stale, Move.CANCEL)  # its ack was lost
    assert stage.row(id_).state == "succeeded"
    refused = stage.story(id_, "report_refused")
    assert [(one["fence"], one["report"]) for one in refused] == [
        (stale, "running"),
        (stale, "finished"),
    ]
    assert refused[0]["worker"] == "w1"


def test_a_finished_stale_attempt_is_forgotten_and_told(stage: Stage) -> None:
    frozen = stage.connect("w1")
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    stale = stage.leases()[-1].fence
    stage.cut(frozen)
    stage.live_through(60)
    stage.connect("w1", held=[Held(fence=stale, phase="finished")])
    assert stage.verdicts() == {stale: "forget"}
    (refused,) = stage.story(id_, "report_refused")
    assert (refused["fence"], refused["report"]) == (stale, "finished")


def test_who_asked_for_a_cancel_is_told(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    cancel = Cancel(namespace=NAMESPACE, execution_id=id_, reason="by alice")
    stage.step(cancel, cancel)
    (asked,) = stage.story(id_)
    assert (asked["kind"], asked["reason"]) == ("cancel_asked", "by alice")


def test_superseded_attempts_are_remembered_up_to_a_bound(
    stage: Stage,
) -> None:
    live = stage.core.live
    stage.connect()
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    execution = live.executions[id_]
    for fence in range(20_000):
        execution.fence = -fence
        live.supersede(execution, execution.fence)
    assert len(live.superseded) == 10_000
    assert next(iter(live.superseded)) == -10_000


def test_events_keep_their_order_over_a_restart(stage: Stage) -> None:
    stage.connect("w1")
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    stage.connect("w1")
    stage.restart(after=1)
    stage.live_through(80)
    stage.connect("w2")
    expected = ["released", "leased", "released", "waited", "leased"]
    assert kinds(stage, id_) == expected
    first, second = stage.attempts(id_)
    # The second lease is of an earlier term, which alone knew when it was given.
    assert (first.leased_at, second.leased_at) == (NOON, None)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_late_result_of_a_lost_attempt_is_believed_for_a_day(
    stage: Stage, restarts: bool
) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.cut(session)
    stage.live_through(60)
    held = Held(fence=fence, phase="finished")
    if restarts:
        stage.restart(after=(DAY - MINUTE) / SECOND)
    else:
        stage.connect("other")
        stage.live_through((DAY - MINUTE) / SECOND)
    stage.connect(held=[held])
    assert stage.verdicts() == {fence: "send_result"}
    if restarts:
        stage.restart(after=2 * MINUTE / SECOND)
    else:
        stage.live_through(2 * MINUTE / SECOND)
    again = stage.connect(held=[held])
    assert stage.verdicts() == {fence: "forget"}
    stage.end(again, fence)
    assert stage.row(id_).state == "lost"
    assert not stage.core.live.lost
