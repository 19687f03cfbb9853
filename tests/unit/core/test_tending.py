from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.effects import CancelWanted, DrainWanted
from jobs_grpc.controlplane.core.state.inputs import (
    CordonWorker,
    DrainWorker,
    Explain,
    Held,
    LabelWorker,
    UncordonWorker,
)
from jobs_grpc.controlplane.core.state.live import Session
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import SECOND
from support.stage import Stage


def who(worker: str = "w1") -> dict[str, Any]:
    return {"worker_id": f"id-of-{worker}", "worker": worker}


def cordon(stage: Stage, worker: str = "w1") -> None:
    stage.ask(CordonWorker(**who(worker), reason="alice: kernel"))


def uncordon(stage: Stage) -> None:
    stage.ask(UncordonWorker(**who()))


def drain(stage: Stage, *, seconds: float = 10) -> None:
    deadline = round(seconds * SECOND)
    stage.ask(DrainWorker(**who(), reason="alice: kernel", deadline=deadline))


def label(stage: Stage, *given_back: str, **labels: str | None) -> None:
    stage.ask(LabelWorker(**who(), labels=labels, given_back=given_back))


def held(session: Session) -> list[str]:
    return [one.id for one in session.leases.values()]


def test_a_cordoned_worker_gets_no_new_work_and_keeps_what_it_has(stage: Stage) -> None:
    session = stage.connect(slots=5)
    before = stage.submit_ad_hoc(1)
    cordon(stage)
    (id_,) = stage.submit_ad_hoc(1)
    assert held(session) == before
    found = stage.ask(Explain(id_))
    assert [one.cause.value for one in found.reasons] == ["worker_unavailable"]
    assert "w1 is cordoned (alice: kernel)" in found.summary
    uncordon(stage)
    assert held(session) == [*before, id_]


@pytest.mark.parametrize("again", ["worker", "server"])
def test_a_cordon_outlives_the_worker_and_the_server(stage: Stage, again: str) -> None:
    session = stage.connect(slots=5)
    cordon(stage)
    if again == "server":
        stage.restart()
    else:
        stage.cut(session)
        stage.live_through(60)
    session = stage.connect(slots=5)
    (id_,) = stage.submit_ad_hoc(1)
    assert held(session) == []
    uncordon(stage)
    assert held(session) == [id_]


def test_a_worker_can_be_cordoned_before_it_comes(stage: Stage) -> None:
    cordon(stage)
    stage.submit_ad_hoc(1)
    assert held(stage.connect()) == []


def test_a_drain_tells_the_worker_and_what_it_gives_back_goes_elsewhere(
    stage: Stage,
) -> None:
    session = stage.connect(slots=5)
    (id_,) = stage.submit_ad_hoc(1)
    drain(stage)
    assert stage.said(DrainWanted) == [DrainWanted(session.id, 10 * SECOND)]
    fence = next(iter(session.leases))
    stage.end(session, fence, Move.CANCEL, never_began=True)
    other = stage.connect("w2")
    assert held(other) == [id_]
    # It has cost the job nothing: no pause, no attempt that failed.
    assert stage.row(id_).state == "pending"


def test_what_may_run_twice_waits_again_when_the_drain_ends_it(stage: Stage) -> None:
    session = stage.connect("w1", slots=5)
    (id_,) = stage.submit_ad_hoc(1, idempotent=True, retry=1)
    (fence,) = session.leases
    stage.start(session, fence)
    drain(stage)
    stage.live_through(9.9)
    assert stage.said(CancelWanted) == []
    stage.live_through(0.1)
    assert stage.said(CancelWanted) == [
        CancelWanted(session.id, fence, "worker w1 was drained")
    ]
    assert stage.row(id_).state == "running"
    receipt = '{"signals": []}'
    stage.end(session, fence, Move.CANCEL, signal="TERM", receipt_json=receipt)
    row = stage.row(id_)
    assert (row.state, row.phase) == ("pending", "none")
    (attempt,) = stage.attempts(id_)
    # How it was ended is kept, though it counts for nothing.
    assert (attempt.signal, attempt.receipt_json) == ("TERM", receipt)
    assert stage.story(id_, "drained") == [
        {"kind": "drained", "at": stage.now, "worker": "w1"}
    ]
    execution = stage.core.live.executions[id_]
    assert execution.retry is None or execution.retry.retries == 0
    other = stage.connect("w2")
    assert held(other) == [id_]


def test_what_must_not_run_twice_is_cancelled_and_says_why(stage: Stage) -> None:
    session = stage.connect("w1", slots=5)
    (id_,) = stage.submit_ad_hoc(1)
    (fence,) = session.leases
    stage.start(session, fence)
    drain(stage)
    stage.live_through(10)
    assert stage.row(id_).state == "cancelling"
    stage.end(session, fence, Move.CANCEL)
    row = stage.row(id_)
    assert (row.state, row.error) == ("cancelled", "worker w1 was drained")
    assert len(stage.story(id_, "drained")) == 1


def test_what_ends_by_itself_before_the_deadline_is_what_it_is(stage: Stage) -> None:
    session = stage.connect("w1", slots=5)
    ids = stage.submit_ad_hoc(2, idempotent=True)
    fences = tuple(session.leases)
    drain(stage)
    stage.end(session, fences[0])
    stage.live_through(10)
    # Its end and the cancel met on their way.
    stage.end(session, fences[1])
    assert [stage.row(id_).state for id_ in ids] == ["succeeded", "succeeded"]


def test_a_drain_goes_on_after_the_server_was_down_at_its_deadline(
    stage: Stage,
) -> None:
    session = stage.connect("w1", slots=5)
    (id_,) = stage.submit_ad_hoc(1, idempotent=True)
    (fence,) = session.leases
    stage.start(session, fence)
    drain(stage)
    stage.restart(after=20)
    assert stage.said(CancelWanted) == []
    session = stage.connect("w1", slots=5, held=[Held(fence=fence, phase="running")])
    assert stage.said(DrainWanted)[-1] == DrainWanted(session.id, 0)
    stage.step()
    assert stage.said(CancelWanted)[-1].fence == fence
    stage.end(session, fence, Move.CANCEL)
    assert stage.row(id_).state == "pending"


def test_an_uncordoned_worker_is_not_drained_any_more(stage: Stage) -> None:
    session = stage.connect("w1", slots=5)
    stage.submit_ad_hoc(1)
    drain(stage)
    uncordon(stage)
    stage.live_through(20)
    assert stage.said(CancelWanted) == []
    stage.submit_ad_hoc(1)
    assert len(session.leases) == 2


def test_labels_of_the_server_go_over_the_worker_s_own(stage: Stage) -> None:
    session = stage.connect("w1", slots=5, labels={"role": "web", "zone": "a"})
    (id_,) = stage.submit_ad_hoc(1, targets={"selector": {"role": "db"}})
    assert held(session) == []
    label(stage, role="db", zone=None)
    # What waits finds it at once.
    assert held(session) == [id_]
    assert session.labels == {"role": "db"}
    stage.restart()
    session = stage.connect("w1", slots=5, labels={"role": "web", "zone": "a"})
    assert session.labels == {"role": "db"}
    label(stage, "role", "zone")
    assert session.labels == {"role": "web", "zone": "a"}
    (late,) = stage.submit_ad_hoc(1, targets={"selector": {"role": "db"}})
    assert late not in held(session)
