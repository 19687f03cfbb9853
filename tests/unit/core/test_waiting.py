from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.execution import AGEING
from jobs_grpc.controlplane.core.state.inputs import Cancel
from jobs_grpc.controlplane.core.state.live import Session
from jobs_grpc.controlplane.core.waiting.lines import BUILT_IN
from support.jobs import MINUTE, NAMESPACE, SECOND, spec, submission
from support.stage import Stage


def drain(stage: Stage, session: Session, count: int) -> list[str]:
    """Let a worker run `count` executions to their end; return their ids in order."""
    done: list[str] = []
    while len(done) < count:
        fence, execution = next(iter(session.leases.items()))
        done.append(execution.id)
        stage.end(session, fence)
    return done


def cancel(stage: Stage, execution_id: str) -> None:
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=execution_id, reason="enough"))


def test_the_queues_of_a_fresh_server_have_their_weights(stage: Stage) -> None:
    weights = {queue.name: queue.weight for queue in stage.core.waiting.queues.values()}
    assert weights == dict(BUILT_IN) == {"critical": 6, "default": 3, "low": 1}


@pytest.mark.parametrize("slots", [1, 10])
def test_slots_are_shared_by_the_weights_of_the_queues(
    stage: Stage, slots: int
) -> None:
    queue_of = {
        id_: queue
        for queue in ("low", "default", "critical")
        for id_ in stage.submit_ad_hoc(100, queue=queue)
    }
    session = stage.connect(slots=slots)
    shares = Counter(queue_of[id_] for id_ in drain(stage, session, 100))
    assert shares["critical"] == pytest.approx(60, abs=2)
    assert shares["default"] == pytest.approx(30, abs=2)
    assert shares["low"] == pytest.approx(10, abs=2)


def test_a_queue_alone_gets_every_slot(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(20, queue="low")
    session = stage.connect(slots=3)
    assert sorted(drain(stage, session, 20)) == sorted(ids)


def test_a_queue_that_was_empty_does_not_make_up_for_it(stage: Stage) -> None:
    stage.submit_ad_hoc(300, queue="default")
    session = stage.connect(slots=1)
    drain(stage, session, 100)
    low = set(stage.submit_ad_hoc(100, queue="low"))
    assert sum(id_ in low for id_ in drain(stage, session, 40)) == pytest.approx(
        10, abs=2
    )


def test_a_queue_that_nobody_could_serve_does_not_make_up_for_it(stage: Stage) -> None:
    # Its only work waits for a worker that never comes.
    stage.submit_ad_hoc(queue="low", targets={"selector": {"gpu": "yes"}})
    stage.submit_ad_hoc(2_000, queue="default")
    session = stage.connect(slots=1)
    drain(stage, session, 1_500)
    low = set(stage.submit_ad_hoc(100, queue="low"))
    assert sum(id_ in low for id_ in drain(stage, session, 100)) < 50


def test_priorities_run_from_one_to_five(stage: Stage) -> None:
    by_priority = {
        priority: stage.submit_ad_hoc(priority=priority)[0]
        for priority in (5, 4, 3, 2, 1)
    }
    session = stage.connect(slots=1)
    assert drain(stage, session, 5) == [by_priority[n] for n in (1, 2, 3, 4, 5)]


def test_equal_priorities_run_in_the_order_of_their_instants(stage: Stage) -> None:
    ids = []
    for _ in range(5):
        ids += stage.submit_ad_hoc(2)
        stage.now += SECOND
    session = stage.connect(slots=1)
    assert drain(stage, session, 10) == ids


@pytest.mark.parametrize(
    ("waited", "first"), [(40 * MINUTE + 1, "old"), (40 * MINUTE - 1, "new")]
)
def test_the_lowest_priority_passes_a_new_highest_after_forty_minutes(
    stage: Stage, waited: int, first: str
) -> None:
    assert AGEING == 10 * MINUTE
    (old,) = stage.submit_ad_hoc(priority=5)
    stage.now += waited
    (new,) = stage.submit_ad_hoc(priority=1)
    session = stage.connect(slots=1)
    assert drain(stage, session, 1) == [{"old": old, "new": new}[first]]


def test_work_that_nobody_can_take_blocks_no_other(stage: Stage) -> None:
    blocked = stage.submit_ad_hoc(priority=1, targets={"selector": {"role": "db"}})
    blocked += stage.submit_ad_hoc(priority=1, function="report", queue="critical")
    free = stage.submit_ad_hoc(3, priority=5)
    session = stage.connect(slots=1)
    assert drain(stage, session, 3) == free
    assert not session.leases
    assert {stage.row(id_).state for id_ in blocked} == {"pending"}


def test_a_worker_gets_what_its_labels_and_functions_allow(stage: Stage) -> None:
    (labelled,) = stage.submit_ad_hoc(targets={"selector": {"role": "db"}})
    (called,) = stage.submit_ad_hoc(function="report")
    database = stage.connect("w1", labels={"role": "db", "zone": "a"})
    assert [one.id for one in database.leases.values()] == [labelled]
    wrong_value = stage.connect("w2", labels={"role": "web"})
    assert not wrong_value.leases
    reporter = stage.connect("w3", functions=("report", "other"))
    assert [one.id for one in reporter.leases.values()] == [called]


def test_a_worker_that_comes_back_with_other_labels_is_judged_by_these(
    stage: Stage,
) -> None:
    (id_,) = stage.submit_ad_hoc(targets={"selector": {"role": "db"}})
    session = stage.connect(labels={"role": "web"})
    assert not session.leases
    session = stage.connect(labels={"role": "db"})
    assert [one.id for one in session.leases.values()] == [id_]


def test_what_is_cancelled_while_it_waits_leaves_no_trace_in_the_line(
    stage: Stage,
) -> None:
    ids = stage.submit_ad_hoc(5)
    for id_ in ids[:4]:
        cancel(stage, id_)
    session = stage.connect(slots=5)
    assert [one.id for one in session.leases.values()] == ids[4:]
    assert not stage.core.waiting
    assert {stage.row(id_).state for id_ in ids[:4]} == {"cancelled"}


def test_work_that_cannot_be_filled_in_leaves_its_slot_to_the_next(
    stage: Stage,
) -> None:
    session = stage.connect(slots=1)
    wrong = spec(command=["echo", "{{nobody}}"])
    right = submission(spec=spec())
    stage.submit(*(submission(spec=wrong) for _ in range(3)), right)
    assert [one.id for one in session.leases.values()] == [right.id]


def test_equal_workers_take_turns(stage: Stage) -> None:
    workers = [stage.connect(f"w{n}", slots=10) for n in range(4)]
    stage.submit_ad_hoc(20)
    assert [len(session.leases) for session in workers] == [5, 5, 5, 5]


def test_a_class_is_dropped_when_it_is_empty(stage: Stage) -> None:
    for number in range(50):
        stage.submit_ad_hoc(targets={"selector": {"number": str(number)}})
    queue = stage.core.waiting.queues["default"]
    assert len(queue.classes) == queue.depth == 50
    for number in range(50):
        session = stage.connect(f"w{number}", labels={"number": str(number)})
        drain(stage, session, 1)
    assert not stage.core.waiting
    assert queue.classes == {}


@pytest.mark.parametrize(
    "keys", [{"queue": "critical", "priority": 5}, {"queue": "low", "priority": 1}]
)
def test_an_execution_stands_where_its_job_says(
    stage: Stage, keys: dict[str, Any]
) -> None:
    (id_,) = stage.submit_ad_hoc(**keys)
    row = stage.row(id_)
    assert {"queue": row.queue, "priority": row.priority} == keys
