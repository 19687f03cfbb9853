"""Quarantine: a job that keeps losing its workers stands still until somebody looks."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.inputs import (
    Cancel,
    CloseSession,
    DeleteJob,
    EndPauses,
    Explain,
    Held,
)
from jobs_grpc.controlplane.core.state.live import Session
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, Pause, PauseKind, Scope
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.storage.store import DeadLetterFilter
from support.jobs import MINUTE, NAMESPACE, key, submission
from support.stage import Stage, finish

JOB = Scope(PauseKind.JOB, *key())
NOTE = (
    "quarantined: lost its worker 3 times within an hour (w1, w2, w1);"
    " look at the job, then: jobs-grpc resume backup"
)


def lose(stage: Stage, worker: str = "w1", *, after: float = 60) -> str:
    """Run the job on a worker whose keeper dies of it; return the execution."""
    session = stage.connect(worker)
    (id_,) = stage.submit()
    (fence,) = session.leases
    stage.start(session, fence)
    stage.end(session, fence, Move.LOSE, error="the keeper is gone")
    stage.step(CloseSession(session.id, stage.streams))
    stage.wait(after)
    return id_


def lose_thrice(stage: Stage) -> str:
    return [lose(stage, worker) for worker in ("w1", "w2", "w1")][-1]


def resume(stage: Stage) -> None:
    stage.ask(EndPauses(scope=JOB, who="bob"))


def pauses(stage: Stage) -> list[Pause]:
    return list(stage.core.pauses)


def letters(stage: Stage) -> list[tuple[str, str]]:
    rows = finish(stage.store.dead_letters(DeadLetterFilter(NAMESPACE), 100))
    return [(row.execution_id, row.reason) for row in rows]


def leased(session: Session) -> list[str]:
    return [one.id for one in session.leases.values()]


def summary(stage: Stage, id_: str) -> str:
    text: str = stage.ask(Explain(id_)).summary
    return text


def test_three_lost_workers_within_an_hour_pause_the_job(stage: Stage) -> None:
    stage.apply(schedule="every 1h")
    lose(stage)
    lose(stage, "w2")
    assert pauses(stage) == []
    id_ = lose(stage)
    (made,) = pauses(stage)
    assert made == Pause(
        id=f"quarantine-{id_}",
        scope=JOB,
        note=NOTE,
        who="jobs-grpc",
        since=stage.now - MINUTE,
        until=None,
        meanwhile=Meanwhile.DROP,
    )
    row = finish(stage.store.pause(made.id))
    assert row is not None
    assert row == made.row()
    # Of the three only the one that caused it, for the job has no retries.
    assert letters(stage) == [(id_, "quarantined")]
    stage.live_through(3600)
    assert [one.reason for one in stage.decisions()] == ["paused"]


def test_an_execution_with_retries_left_ends_lost(stage: Stage) -> None:
    stage.apply(idempotent=True, retry={"max_retries": 5, "on": ["lost"]})
    session = stage.connect()
    (id_,) = stage.submit()
    for _ in range(3):
        assert stage.row(id_).state in {"pending", "running"}
        (fence,) = session.leases
        receipt = '{"signals": ["KILL"]}'
        stage.end(session, fence, Move.LOSE, error="gone", receipt_json=receipt)
        stage.wait(2)
    row = stage.row(id_)
    assert (row.state, row.receipt_json) == ("lost", receipt)
    assert row.error == "its end is not known: gone; its job is quarantined"
    assert len(stage.leases()) == 3
    assert letters(stage) == [(id_, "quarantined")]


def test_what_waits_is_kept_back_until_the_job_is_resumed(stage: Stage) -> None:
    stage.apply()
    lose(stage)
    lose(stage, "w2")
    session = stage.connect()
    _, before = stage.submit(submission(), submission())
    (fence,) = session.leases
    stage.start(session, fence)
    stage.end(session, fence, Move.LOSE)
    (after,) = stage.submit()
    assert session.leases == {}
    for place, id_ in enumerate((before, after), 1):
        assert stage.row(id_).state == "pending"
        since = 'its job "backup" is paused since 2026-03-02T12:02:00Z'
        in_line = (
            f'It is number {place} of 2 in the line for the quarantine of job "backup"'
        )
        assert summary(stage, id_) == f"I{since[1:]}: {NOTE}. {in_line}."
    (other,) = stage.submit_ad_hoc()
    assert leased(session) == [other]
    resume(stage)
    stage.end(session, next(iter(session.leases)))
    assert leased(session) == [before]
    stage.end(session, next(iter(session.leases)))
    assert leased(session) == [after]
    (waited,) = stage.story(before, "waited")
    assert waited["reason"] == 'for the quarantine of job "backup"'


def test_what_is_to_be_tried_again_is_kept_back_too(stage: Stage) -> None:
    stage.apply(retry={"delays": ["10m"]})
    session = stage.connect()
    (id_,) = stage.submit()
    stage.end(session, next(iter(session.leases)), Move.FAIL)
    lose_thrice(stage)
    assert stage.row(id_).state == "retrying"
    assert summary(stage, id_).startswith("It is tried again at 2026-03-02T12:10:00Z")
    assert summary(stage, id_).endswith(f"{NOTE}.")
    stage.wait(600)
    session = stage.connect()
    assert stage.row(id_).state == "pending"
    assert session.leases == {}
    resume(stage)
    assert leased(session) == [id_]


def test_a_quarantine_outlives_its_leader(stage: Stage) -> None:
    stage.apply()
    lose_thrice(stage)
    (id_,) = stage.submit()
    stage.restart(after=1)
    session = stage.connect()
    assert session.leases == {}
    assert NOTE in summary(stage, id_)
    resume(stage)
    assert leased(session) == [id_]


def test_after_a_resume_the_count_begins_anew(stage: Stage) -> None:
    stage.apply()
    lose_thrice(stage)
    resume(stage)
    lose(stage)
    lose(stage)
    assert pauses(stage) == []
    lose(stage)
    assert len(pauses(stage)) == 1


def test_a_new_leader_begins_the_count_anew(stage: Stage) -> None:
    stage.apply()
    lose(stage)
    lose(stage)
    stage.restart(after=1)
    lose(stage)
    assert pauses(stage) == []


def test_a_deleted_job_leaves_nothing_kept_back(stage: Stage) -> None:
    stage.apply()
    lose_thrice(stage)
    (id_,) = stage.submit()
    stage.ask(DeleteJob(key()))
    assert (stage.row(id_).state, pauses(stage)) == ("cancelled", [])
    stage.apply()
    (new,) = stage.submit()
    assert leased(stage.connect()) == [new]


def test_what_is_kept_back_can_be_cancelled(stage: Stage) -> None:
    stage.apply()
    lose_thrice(stage)
    (id_,) = stage.submit()
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=id_, reason="no"))
    resume(stage)
    assert (stage.row(id_).state, stage.connect().leases) == ("cancelled", {})


@pytest.mark.parametrize(
    ("quarantine", "losses", "is_paused"),
    [(False, 5, False), (4, 3, False), (4, 4, True), (1, 1, True)],
)
def test_the_job_says_how_many_are_too_many(
    stage: Stage, quarantine: Any, losses: int, is_paused: bool
) -> None:
    stage.apply(quarantine=quarantine)
    for _ in range(losses):
        lose(stage)
    assert bool(pauses(stage)) is is_paused


def test_losses_more_than_an_hour_apart_do_not_count_together(stage: Stage) -> None:
    stage.apply()
    for _ in range(5):
        lose(stage, after=30 * 60)
    assert pauses(stage) == []


def test_what_is_lost_at_once_is_one_event(stage: Stage) -> None:
    """A network that fails takes many workers; the job is not to blame."""
    stage.apply(idempotent=True)
    sessions = [stage.connect(f"w{number}", slots=2) for number in range(3)]
    stage.submit(*(submission() for _ in range(6)))
    assert all(len(one.leases) == 2 for one in sessions)
    stage.live_through(60)
    assert not stage.core.live.sessions
    assert pauses(stage) == []


def test_the_same_execution_lost_again_is_another_event(stage: Stage) -> None:
    stage.apply(idempotent=True)
    session = stage.connect(slots=3)
    stage.submit(submission(), submission(), submission())
    for losses in (1, 2, 3):
        for fence in tuple(session.leases):
            stage.end(session, fence, Move.LOSE)
        assert bool(pauses(stage)) is (losses == 3)
        stage.wait(1)


def begun(stage: Stage, worker: str = "w1", **fields: Any) -> Session:
    """Have the job run on a worker."""
    session = stage.connect(worker, **fields)
    stage.submit()
    stage.start(session, next(iter(session.leases)))
    return session


def test_a_worker_that_falls_silent_is_lost(stage: Stage) -> None:
    stage.apply()
    for number in range(3):
        begun(stage, f"w{number}")
        stage.live_through(60)
    assert len(pauses(stage)) == 1


def test_a_worker_that_said_goodbye_is_not(stage: Stage) -> None:
    stage.apply(quarantine=1)
    session = begun(stage)
    stage.step(CloseSession(session.id, stage.streams))
    stage.live_through(60)
    assert [row.state for row in stage.rows()] == ["lost"]
    assert pauses(stage) == []


def test_a_lease_that_did_not_begin_does_not_count(stage: Stage) -> None:
    stage.apply(quarantine=1)
    session = stage.connect()
    stage.submit()
    stage.end(session, next(iter(session.leases)), Move.LOSE, never_began=True)
    session = stage.connect()
    stage.live_through(60)
    assert session.id not in stage.core.live.sessions
    assert pauses(stage) == []


def test_a_loss_that_was_none_is_taken_back(stage: Stage) -> None:
    stage.apply()
    lose(stage)
    session = begun(stage)
    (fence,) = session.leases
    stage.live_through(60)
    assert [row.state for row in stage.rows()] == ["lost", "lost"]
    session = stage.connect(held=[Held(fence=fence, phase="finished")])
    stage.end(session, fence)
    assert [row.state for row in stage.rows()] == ["lost", "succeeded"]
    lose(stage)
    assert pauses(stage) == []
    lose(stage)
    assert len(pauses(stage)) == 1


def test_runs_without_a_stored_job_are_never_kept_back(stage: Stage) -> None:
    for _ in range(4):
        session = stage.connect()
        stage.submit_ad_hoc()
        stage.start(session, next(iter(session.leases)))
        stage.end(session, next(iter(session.leases)), Move.LOSE)
        stage.wait(60)
    assert pauses(stage) == []


def test_what_is_kept_back_stands_in_the_way_of_what_overlaps(stage: Stage) -> None:
    stage.apply(schedule="every 10m", overlap="queue", idempotent=True)
    stage.live_through(30 * 60)
    first, second, third = (row.id for row in stage.rows())
    session = stage.connect()
    for _ in range(3):
        assert leased(session) == [first]
        stage.end(session, next(iter(session.leases)), Move.LOSE)
        stage.wait(2)
    assert (stage.row(first).state, leased(session)) == ("lost", [])
    assert NOTE[:40] in summary(stage, second)
    assert "overlap: queue" in summary(stage, third)
    resume(stage)
    assert leased(session) == [second]
    stage.end(session, next(iter(session.leases)))
    assert leased(session) == [third]
