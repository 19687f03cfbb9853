"""A term begins where the last one ended, wherever that was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.inputs import (
    Cancel,
    DeleteJob,
    Held,
    SetJobEnabled,
    Started,
)
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import HOUR, NAMESPACE, NOON, key, submission
from support.stage import Stage


def told(execution: Execution) -> dict[str, Any]:
    """Return everything about an execution but its identity as an object."""
    fields = (
        "seq id spec job_id revision trigger queue priority scheduled_for created_at"
        " requested_by schedule_id request_id params document_json state phase attempt"
        " fence worker_id worker session_id started_at cancel_reason"
    )
    return {name: getattr(execution, name) for name in fields.split()}


def picture(core: Core) -> dict[str, Any]:
    """Return what a core knows that must survive it."""
    live = core.live
    return {
        "jobs": {
            key: (
                job.row(),
                job.statistics_row(),
                job.spec,
                {id_: one.cursor for id_, one in job.schedules.items()},
                sorted(one.id for one in job.active.values()),
            )
            for key, job in live.jobs.items()
        },
        "executions": {id_: told(one) for id_, one in live.executions.items()},
        "leased": {fence: one.id for fence, one in live.by_fence.items()},
        "lost": {fence: told(one) for fence, one in live.lost.items()},
        "leases": {
            one.id: (one.worker_id, one.worker, sorted(one.leases))
            for one in live.sessions.values()
            if one.leases
        },
        "waiting": sorted(
            execution.id
            for queue in core.waiting.queues.values()
            for waiting_class in queue.classes.values()
            for *_, execution in waiting_class.heap
            if waiting_class.head() is not None
        ),
        "queues": sorted(queue.row() for queue in core.waiting.queues.values()),
        "schedules": len(core.timeline),
        "requests": {
            id_
            for id_ in live.requests.values()
            if id_ in live.executions  # the store knows the others
        },
    }


def cancel(stage: Stage, execution_id: str) -> None:
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=execution_id, reason="by alice"))


def nothing(stage: Stage) -> None:
    assert stage.rows() == []


def definitions(stage: Stage) -> None:
    stage.apply(schedule=["*/10 * * * *", {"name": "hourly", "every": "1h"}])
    stage.apply(name="other", workspace="shop", variables={"a": "b"})
    stage.apply(name="off", enabled=False)
    stage.ask(SetJobEnabled(key(), False))
    stage.apply(name="other", workspace="shop", variables={"a": "c"})


def decided(stage: Stage) -> None:
    stage.apply(schedule="every 10s", overlap="allow")
    stage.live_through(60)


def waiting(stage: Stage) -> None:
    stage.apply(params={"who": "nobody"}, command=["echo", "{{who}}"])
    stage.submit(
        submission(params={"who": "alice"}, request_id="r1"),
        submission(params={"who": "bob"}, not_before=NOON + HOUR, request_id="r2"),
    )
    stage.submit_ad_hoc(3, queue="low", priority=5, targets={"selector": {"a": "b"}})


def leased(stage: Stage) -> None:
    stage.submit_ad_hoc(5)
    session = stage.connect("w1", slots=2)
    stage.start(session, next(iter(session.leases)))
    stage.connect("w2", slots=1)


def cancelling(stage: Stage) -> None:
    leased(stage)
    for execution in tuple(stage.core.live.executions.values()):
        cancel(stage, execution.id)


def pinned(stage: Stage) -> None:
    stage.apply(command="first")
    stage.submit()
    stage.connect()
    stage.apply(command="second")
    stage.submit()
    stage.apply(command="third")


def deleted(stage: Stage) -> None:
    stage.apply(schedule="every 1h")
    stage.submit(submission(), submission())
    stage.connect()
    stage.ask(DeleteJob(key()))


def counted(stage: Stage) -> None:
    stage.apply()
    session = stage.connect()
    for move in (Move.SUCCEED, Move.FAIL, Move.CANCEL):
        stage.submit()
        stage.end(session, stage.leases()[-1].fence, move)


def lost(stage: Stage) -> None:
    stage.apply()
    stage.submit()
    session = stage.connect()
    stage.start(session, stage.leases()[-1].fence)
    stage.live_through(40)
    assert stage.core.live.lost


def released(stage: Stage) -> None:
    stage.submit_ad_hoc(2, idempotent=True)
    session = stage.connect(slots=2)
    for fence in session.leases:
        stage.report(session, Started(fence, NOON))
    stage.live_through(40)


SCENES: list[Callable[[Stage], None]] = [
    nothing,
    definitions,
    decided,
    waiting,
    leased,
    cancelling,
    pinned,
    deleted,
    counted,
    lost,
    released,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_next_term_knows_what_the_last_one_knew(
    stage: Stage, scene: Callable[[Stage], None]
) -> None:
    scene(stage)
    before, term = picture(stage.core), stage.core.term
    step = stage.restart()
    assert picture(stage.core) == before
    assert stage.core.term == term + 1
    assert not step.changes


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_numbers_of_a_term_are_above_all_of_the_terms_before(
    stage: Stage, scene: Callable[[Stage], None]
) -> None:
    scene(stage)
    highest = max(
        [0, *stage.core.live.by_fence, *(row.seq for row in stage.rows())],
    )
    stage.restart()
    assert stage.core.live.sequence.take() > highest


def test_a_decision_without_a_lease_is_leased_by_the_next_term(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.wait(60)
    stage.restart(after=1)
    session = stage.connect()
    assert [one.id for one in session.leases.values()] == [stage.rows()[0].id]


def test_a_lease_of_the_last_term_is_adopted_with_its_fence(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.restart(after=5)
    again = stage.connect(held=[Held(fence=fence, phase="running", started_at=NOON)])
    assert (again.id, stage.verdicts()) == (session.id, {fence: "adopt"})
    stage.end(again, fence)
    assert stage.row(id_).state == "succeeded"
    assert stage.row(id_).attempt == 1


def test_a_lease_that_was_never_sent_is_leased_again_by_the_next_term(
    stage: Stage,
) -> None:
    (id_,) = stage.submit_ad_hoc()
    stage.connect()
    stage.restart(after=1)
    stage.connect()
    assert (stage.row(id_).attempt, stage.row(id_).phase) == (2, "leased")


def test_a_worker_has_a_full_session_time_to_come_back_to_a_new_term(
    stage: Stage,
) -> None:
    (id_,) = stage.submit_ad_hoc()
    session = stage.connect()
    stage.start(session, stage.leases()[-1].fence)
    stage.restart(after=600)
    stage.live_through(30 + 35)
    assert stage.row(id_).state == "running"
    stage.live_through(2)
    assert stage.row(id_).state == "lost"


def test_many_restarts_lose_and_double_nothing(stage: Stage) -> None:
    stage.apply(schedule="every 1s", overlap="allow")
    for _ in range(30):
        stage.live_through(1)
        stage.restart()
        stage.restart(after=1)
    assert len(stage.decisions()) == len(stage.rows()) == 60
    assert len(stage.core.live.executions) == 60


def test_a_row_that_cannot_be_understood_costs_itself_and_not_the_term(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.apply(name="good")
    job = stage.apply(name="bad")
    (id_,) = stage.submit(submission("good"))
    row = stage.store._jobs[job.job_id]
    stage.store._jobs[job.job_id] = row._replace(document_json="{")
    seq = stage.row(id_).seq
    stage.store._executions[seq] = stage.row(id_)._replace(document_json='{"name":1}')
    stage.restart()
    assert set(stage.core.live.jobs) == {key("good")}
    assert stage.core.live.executions == {}
    assert "bad cannot be read" in caplog.text
    assert f"{id_} cannot be read" in caplog.text


@pytest.mark.parametrize("replace", [True, False])
def test_a_definition_that_cannot_be_understood_can_be_replaced_and_deleted(
    stage: Stage, replace: bool
) -> None:
    job = stage.apply(schedule="every 1h")
    row = stage.store._jobs[job.job_id]
    stage.store._jobs[job.job_id] = row._replace(document_json="{")
    stage.restart()
    if replace:
        new = stage.apply(schedule="every 1h")
        assert list(stage.store._jobs) == [new.job_id]
    else:
        stage.ask(DeleteJob(key()))
        assert not stage.store._jobs
    stage.restart()
    assert not stage.core.live.unreadable
