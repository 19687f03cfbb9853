"""Limits on a wait for a worker, and on all of an execution."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.state.effects import CancelWanted
from jobs_grpc.controlplane.core.state.inputs import Cancel
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import NAMESPACE, NOON, SECOND, spec, submission
from support.stage import Stage


def reached(stage: Stage, id_: str) -> list[str]:
    return [one["which"] for one in stage.story(id_, "timed_out")]


def test_a_wait_that_is_too_long_ends_it(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc(timeouts={"queue": "10s"}, retry=3)
    assert stage.wake_at == NOON + 10 * SECOND
    stage.wait(9)
    assert stage.row(id_).state == "pending"
    stage.wait(1)
    row = stage.row(id_)
    assert (row.state, row.attempt) == ("timed_out", 0)
    assert row.error == "waited 10s (timeouts.queue)"
    assert reached(stage, id_) == ["queue"]
    stage.connect()
    assert stage.leases() == []


def test_a_wait_is_counted_from_its_instant_and_over_a_restart(stage: Stage) -> None:
    later = NOON + 60 * SECOND
    (id_,) = stage.submit(
        submission(spec=spec(timeouts={"queue": "10s"}), not_before=later)
    )
    stage.live_through(65)
    assert stage.row(id_).state == "pending"
    stage.restart(after=1)
    assert stage.row(id_).state == "pending"
    stage.live_through(4)
    assert stage.row(id_).state == "timed_out"


def test_what_runs_does_not_wait(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(timeouts={"queue": "10s"})
    stage.wait(11)
    assert stage.row(id_).state == "pending"
    stage.end(session, stage.leases()[-1].fence)
    assert stage.row(id_).state == "succeeded"


def test_each_wait_counts_anew(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(timeouts={"queue": "10s"}, retry={"delays": ["20s"]})
    stage.end(session, stage.leases()[-1].fence, Move.FAIL)
    stage.cut(session)
    stage.live_through(29)
    assert stage.row(id_).state == "pending"
    stage.live_through(1)
    assert stage.row(id_).state == "timed_out"


def test_a_lease_that_was_taken_back_waits_anew(stage: Stage) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc(timeouts={"queue": "10s"}, idempotent=True)
    stage.wait(20)
    session = stage.connect(held=[])
    assert stage.row(id_).attempt == 2
    stage.end(session, stage.leases()[-1].fence, Move.CANCEL, never_began=True)
    stage.cut(session)
    stage.live_through(60)
    assert stage.row(id_).state in {"pending", "timed_out"}
    stage.live_through(60)
    assert stage.row(id_).state == "timed_out"


def test_the_total_ends_what_only_waits(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(timeouts={"total": "10s"}, retry={"delays": ["1h"]})
    stage.end(session, stage.leases()[-1].fence, Move.FAIL)
    stage.live_through(9)
    assert stage.row(id_).state == "retrying"
    stage.live_through(1)
    row = stage.row(id_)
    assert row.state == "timed_out"
    assert row.error == "not done within 10s of being due (timeouts.total)"


@pytest.mark.parametrize("restarts", [False, True])
def test_the_total_asks_what_runs_to_end(stage: Stage, restarts: bool) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(timeouts={"total": "10s"}, retry={"delays": ["1s"]})
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.wait(10)
    assert stage.row(id_).state == "cancelling"
    (wanted,) = stage.said(CancelWanted)
    assert wanted.fence == fence
    if restarts:
        from jobs_grpc.controlplane.core.state.inputs import Held

        stage.restart(after=1)
        session = stage.connect(held=[Held(fence=fence, phase="running")])
    stage.end(session, fence, Move.CANCEL, signal="TERM")
    row = stage.row(id_)
    assert (row.state, row.signal) == ("timed_out", "TERM")
    assert row.error == "not done within 10s of being due (timeouts.total)"
    assert reached(stage, id_) == ["total"]
    assert stage.story(id_)[-1]["kind"] == "dead_lettered"


def test_what_succeeds_while_it_is_asked_to_end_has_succeeded(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(timeouts={"total": "10s"})
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.wait(10)
    stage.end(session, fence)
    assert stage.row(id_).state == "succeeded"


def test_what_is_being_cancelled_reaches_no_limit(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(timeouts={"total": "10s"})
    stage.start(session, stage.leases()[-1].fence)
    stage.step(Cancel(namespace=NAMESPACE, execution_id=id_, reason="by alice"))
    stage.wait(10)
    stage.end(session, stage.leases()[-1].fence, Move.CANCEL)
    assert stage.row(id_).state == "cancelled"
    assert reached(stage, id_) == []


def test_an_attempt_that_timed_out_says_so(stage: Stage) -> None:
    session = stage.connect(slots=2)
    (plain,) = stage.submit_ad_hoc()
    stage.end(session, stage.leases()[-1].fence, Move.TIME_OUT)
    assert reached(stage, plain) == ["attempt"]
    (quiet,) = stage.submit_ad_hoc(timeouts={"silence": "5s"})
    stage.end(
        session,
        stage.leases()[-1].fence,
        Move.TIME_OUT,
        error="no output for 5s (timeouts.silence)",
    )
    assert reached(stage, quiet) == ["silence"]


def test_executions_without_limits_are_not_watched(stage: Stage) -> None:
    stage.submit_ad_hoc(100)
    assert stage.core._executions.deadlines.next_due() is None
