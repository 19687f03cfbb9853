"""When an attempt that failed is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.effects import ExecutionRetried
from jobs_grpc.controlplane.core.state.inputs import Cancel
from jobs_grpc.controlplane.core.state.live import Session
from jobs_grpc.controlplane.core.state.retrying import LOSSES, RetryPolicy, pause_after
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import MINUTE, NAMESPACE, NOON, SECOND, spec
from support.stage import Stage

TWICE = {"delays": ["1s", "3s"]}


def policy(**keys: Any) -> RetryPolicy:
    made = spec(retry=keys).retry
    assert made is not None
    return made


def delays(made: RetryPolicy, count: int) -> list[float]:
    return [made.delay("e1", retry) / SECOND for retry in range(1, count + 1)]


def begun(stage: Stage, **keys: Any) -> tuple[str, Session]:
    """Return an execution that is leased, and its worker's session."""
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(**keys)
    return id_, session


def fail(stage: Stage, session: Session, move: Move = Move.FAIL, **fields: Any) -> None:
    stage.end(session, stage.leases()[-1].fence, move, **fields)


# Delays.


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"delays": ["1s", "3s"]}, [1, 3, 3]),
        ({"backoff": "none"}, [0, 0, 0]),
        ({"backoff": "fixed", "initial": "5m"}, [300, 300, 300]),
        ({"backoff": "linear", "initial": 10, "max": 25}, [10, 20, 25]),
        ({"jitter": "none"}, [30, 60, 120]),
        ({"jitter": "none", "initial": 0.1, "factor": 3}, [0.1, 0.3, 0.9]),
        ({"jitter": "none", "initial": 1, "max": "2s"}, [1, 2, 2]),
        ({"jitter": "none", "initial": "1h", "max": "2s"}, [2, 2, 2]),
    ],
)
def test_the_nth_retry_waits_the_nth_delay(
    keys: dict[str, Any], expected: list[float]
) -> None:
    assert delays(policy(**keys), 3) == expected


def test_a_huge_number_of_retries_does_not_overflow() -> None:
    made = policy(jitter="none", factor=1e300)
    assert made.delay("e1", 1_000) == 10 * MINUTE


def test_jitter_spreads_executions_and_is_the_same_for_each_again() -> None:
    made = policy()
    spread = [made.delay(f"e{number}", 1) for number in range(1_000)]
    assert spread == [made.delay(f"e{number}", 1) for number in range(1_000)]
    assert 0 <= min(spread) < 3 * SECOND
    assert 27 * SECOND < max(spread) < 30 * SECOND
    assert 14 * SECOND < sum(spread) / 1_000 < 16 * SECOND
    assert made.delay("e1", 1) != made.delay("e1", 2) / 2


def test_pauses_after_infrastructure_failures_double_up_to_a_minute() -> None:
    assert [pause_after(n) / SECOND for n in (1, 2, 3, 4)] == [0, 1, 2, 4]
    assert pause_after(100) == MINUTE


# Retries.


def test_a_job_that_always_fails_is_tried_as_often_as_it_says(stage: Stage) -> None:
    id_, session = begun(stage, retry=TWICE)
    fail(stage, session, exit_code=7)
    assert (stage.row(id_).state, stage.row(id_).phase) == ("retrying", "none")
    assert session.leases == {}
    assert stage.wake_at == NOON + SECOND
    stage.wait(1)
    assert stage.row(id_).state == "pending"
    assert stage.leases()[-1].attempt == 2
    fail(stage, session, exit_code=8)
    stage.live_through(3)
    assert stage.leases()[-1].attempt == 3
    fail(stage, session, exit_code=9)
    row = stage.row(id_)
    assert (row.state, row.attempt, row.exit_code) == ("failed", 3, 9)
    assert [
        (one.attempt, one.outcome, one.exit_code) for one in stage.attempts(id_)
    ] == [(1, "failed", 7), (2, "failed", 8)]
    assert [one.leased_at for one in stage.attempts(id_)] == [NOON, NOON + SECOND]
    assert len({lease.fence for lease in stage.leases()}) == 3
    scheduled = stage.story(id_, "retry_scheduled")
    assert [(one["retry"], one["of"], one["delay"]) for one in scheduled] == [
        (1, 2, SECOND),
        (2, 2, 3 * SECOND),
    ]
    assert scheduled[0]["reason"] == "Command failed: exit status 7"


def test_a_retry_that_succeeds_is_a_success(stage: Stage) -> None:
    stage.apply(retry=TWICE)
    session = stage.connect()
    (id_,) = stage.submit()
    fail(stage, session)
    stage.wait(1)
    stage.end(session, stage.leases()[-1].fence)
    assert stage.row(id_).state == "succeeded"
    assert (stage.job().run_count, stage.job().failure_count) == (1, 0)
    assert stage.queue() == (1, 0)


def test_a_retry_is_said_once(stage: Stage) -> None:
    _, session = begun(stage, retry=TWICE)
    fail(stage, session, exit_code=7)
    (fact,) = stage.said(ExecutionRetried)
    assert (fact.worker, fact.attempt, fact.delay) == ("w1", 1, SECOND)
    assert fact.error == "Command failed: exit status 7"


def test_without_a_policy_the_first_failure_is_the_end(stage: Stage) -> None:
    id_, session = begun(stage, idempotent=True)
    fail(stage, session)
    assert stage.row(id_).state == "failed"


@pytest.mark.parametrize(
    ("keys", "move", "fields", "is_tried_again"),
    [
        ({}, Move.FAIL, {"exit_code": 1}, True),
        ({}, Move.TIME_OUT, {"exit_code": None, "signal": "TERM"}, True),
        ({}, Move.FAIL, {"exit_code": None, "signal": "SEGV"}, True),
        # A process that could not be started has neither.
        ({}, Move.FAIL, {"exit_code": None}, True),
        ({"on": ["timeout"]}, Move.FAIL, {"exit_code": 1}, False),
        ({"on": ["timeout"]}, Move.TIME_OUT, {"signal": "KILL"}, True),
        ({"on": ["signal"]}, Move.FAIL, {"exit_code": None, "signal": "KILL"}, True),
        ({"on": ["exit_code"]}, Move.FAIL, {"signal": "KILL"}, False),
        ({"exit_codes": [75]}, Move.FAIL, {"exit_code": 75}, True),
        ({"exit_codes": [75]}, Move.FAIL, {"exit_code": 1}, False),
        ({"exit_codes": [75]}, Move.TIME_OUT, {"exit_code": None}, True),
    ],
)
def test_only_what_the_policy_covers_is_tried_again(
    stage: Stage,
    keys: dict[str, Any],
    move: Move,
    fields: dict[str, Any],
    is_tried_again: bool,
) -> None:
    id_, session = begun(stage, retry=keys)
    fail(stage, session, move, **fields)
    assert (stage.row(id_).state == "retrying") is is_tried_again


def test_a_retry_comes_due_in_a_later_term(stage: Stage) -> None:
    id_, session = begun(stage, retry=TWICE)
    fail(stage, session)
    stage.wait(1)
    fail(stage, session)
    due = stage.now + 3 * SECOND
    stage.restart(after=2)
    stage.connect()
    assert stage.row(id_).state == "retrying"
    assert stage.wake_at is not None
    assert stage.wake_at <= due
    stage.live_through(1)
    assert stage.leases()[-1].attempt == 3
    fail(stage, stage.core.live.sessions_by_worker["id-of-w1"])
    assert stage.row(id_).state == "failed"


def test_what_waits_for_a_retry_can_be_cancelled(stage: Stage) -> None:
    id_, session = begun(stage, retry=TWICE)
    fail(stage, session)
    stage.step(Cancel(namespace=NAMESPACE, execution_id=id_, reason="by alice"))
    row = stage.row(id_)
    assert (row.state, row.error) == ("cancelled", "by alice")
    stage.live_through(10)
    assert len(stage.leases()) == 1


def test_an_attempt_that_is_being_cancelled_is_not_tried_again(stage: Stage) -> None:
    id_, session = begun(stage, retry=TWICE)
    stage.step(Cancel(namespace=NAMESPACE, execution_id=id_, reason="by alice"))
    fail(stage, session)
    assert stage.row(id_).state == "failed"


def test_what_waits_for_a_retry_counts_for_overlap(stage: Stage) -> None:
    stage.apply(retry=TWICE, schedule="every 1s")
    session = stage.connect()
    stage.wait(1)
    fail(stage, session)
    stage.wait(0.5)
    stage.live_through(0.5)
    assert stage.decisions()[-1].reason == "overlap"


# What costs the job no retry.


def test_a_lost_worker_costs_no_retry(stage: Stage) -> None:
    id_, session = begun(stage, retry={"delays": [0]})
    fail(stage, session, Move.LOSE, error="the keeper died")
    assert stage.leases()[-1].attempt == 2
    fail(stage, session)
    stage.step()
    assert stage.leases()[-1].attempt == 3
    fail(stage, session)
    row = stage.row(id_)
    assert (row.state, row.attempt) == ("failed", 3)


def test_losses_pause_and_have_a_cap_of_their_own(stage: Stage) -> None:
    id_, session = begun(stage, idempotent=True)
    for number in range(1, LOSSES):
        leases = len(stage.leases())
        fail(stage, session, Move.LOSE, error="the keeper died")
        if number > 1:
            assert len(stage.leases()) == leases
            assert stage.row(id_).state == "retrying"
        stage.wait(pause_after(number) / SECOND)
        assert len(stage.leases()) == leases + 1
    fail(stage, session, Move.LOSE, error="the keeper died")
    row = stage.row(id_)
    assert row.state == "lost"
    assert "the keeper died; given up after 10 of these" in row.error
    assert len(stage.attempts(id_)) == LOSSES - 1


def test_losses_are_counted_over_terms(stage: Stage) -> None:
    id_, session = begun(stage, idempotent=True)
    fail(stage, session, Move.LOSE)
    stage.restart(after=1)
    session = stage.connect()
    fail(stage, session, Move.LOSE)
    assert stage.row(id_).state == "retrying"


def test_a_worker_that_keeps_refusing_gets_it_again_after_ever_longer_pauses(
    stage: Stage,
) -> None:
    id_, session = begun(stage)
    waits = []
    for _ in range(9):
        leases = len(stage.leases())
        fail(stage, session, Move.CANCEL, never_began=True)
        since = stage.now
        stage.live_through(0)
        while len(stage.leases()) == leases:
            stage.now += SECOND
            session.last_seen = stage.now
            stage.step()
        waits.append((stage.now - since) // SECOND)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert stage.row(id_).state == "pending"


def test_a_lease_that_never_reached_its_worker_costs_nothing(stage: Stage) -> None:
    id_, _ = begun(stage, idempotent=True)
    for _ in range(20):
        stage.connect()
    assert stage.row(id_).state == "pending"
    assert stage.row(id_).attempt == 21


def test_a_clock_that_is_set_back_makes_no_retry_wait_longer(stage: Stage) -> None:
    id_, session = begun(stage, retry={"delays": ["3s"]})
    fail(stage, session)
    stage.wait(1)
    stage.wait(-3_600)
    stage.wait(1)
    assert stage.row(id_).state == "retrying"
    stage.wait(1)
    assert stage.row(id_).state == "pending"
    assert len(stage.leases()) == 2


def test_a_retry_whose_instant_moved_with_the_clock_waits_for_that_in_the_next_term(
    stage: Stage,
) -> None:
    id_, session = begun(stage, retry={"delays": ["30s"]})
    fail(stage, session)
    stage.wait(-3_600)
    stage.restart(after=20)
    assert stage.row(id_).state == "retrying"
    stage.wait(10)
    assert stage.row(id_).state == "pending"
