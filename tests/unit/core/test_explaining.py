from __future__ import annotations

from jobs_grpc.controlplane.core.answers.explaining import Explanation
from jobs_grpc.controlplane.core.state.inputs import BeginPause, Cancel, Explain
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, PauseKind, Scope
from support.jobs import NAMESPACE, SECOND, submission
from support.stage import Stage


def explain(stage: Stage, execution_id: str) -> Explanation:
    before = stage.store._executions.copy()
    found = stage.ask(Explain(execution_id))
    assert isinstance(found, Explanation)
    # To ask changes nothing.
    assert stage.store._executions == before
    return found


def causes(found: Explanation) -> list[str]:
    return [one.cause.value for one in found.reasons]


def test_no_worker_is_there(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    found = explain(stage, id_)
    assert causes(found) == ["no_worker"]
    assert found.summary == "No worker is connected."
    assert (found.state, found.place, found.waiting) == ("pending", 1, 1)


def test_no_worker_has_what_it_needs(stage: Stage) -> None:
    stage.connect("w1", labels={"role": "db"})
    stage.connect("w2", labels={"zone": "a"}, functions=("resize",))
    for keys, text in (
        (
            {"targets": {"selector": {"role": "web"}}},
            "No worker has the label role=web.",
        ),
        ({"function": "report"}, 'No worker has the function "report".'),
        (
            {"targets": {"selector": {"role": "db", "zone": "a"}}},
            "No single worker has all of: label role=db, label zone=a.",
        ),
        (
            {"function": "resize", "targets": {"selector": {"role": "db"}}},
            'No single worker has all of: label role=db, function "resize".',
        ),
    ):
        (id_,) = stage.submit_ad_hoc(**keys)
        found = explain(stage, id_)
        assert causes(found) == ["no_worker"]
        assert found.summary.startswith(text.rstrip("."))


def test_all_slots_are_taken_and_it_says_by_whom(stage: Stage) -> None:
    stage.connect("w1", slots=2)
    holders = stage.submit_ad_hoc(2)
    waiting = stage.submit_ad_hoc(3, name="other")
    found = explain(stage, waiting[1])
    assert causes(found) == ["slots_busy"]
    assert found.reasons[0].holders == tuple(holders)
    assert found.reasons[0].workers == ("w1",)
    assert (found.line, found.place, found.waiting) == ('the queue "default"', 2, 3)
    assert found.summary == (
        "2 of the 2 slots of worker w1 that could run it are taken."
        ' It is number 2 of 3 in the queue "default".'
    )


def test_it_takes_more_slots_than_any_worker_has(stage: Stage) -> None:
    stage.connect("w1", slots=2)
    (id_,) = stage.submit_ad_hoc(slots=3)
    found = explain(stage, id_)
    assert causes(found) == ["too_few_slots"]
    assert "takes 3 slots" in found.summary
    assert "more than 2" in found.summary


def test_the_workers_that_could_are_away(stage: Stage) -> None:
    session = stage.connect("w1")
    stage.cut(session)
    (id_,) = stage.submit_ad_hoc()
    found = explain(stage, id_)
    assert causes(found) == ["worker_unavailable"]
    assert "w1 is disconnected" in found.summary


def test_a_concurrency_key_is_held(stage: Stage) -> None:
    stage.connect("w1", slots=9)
    ids = stage.submit_ad_hoc(4, concurrency={"key": "orders"})
    found = explain(stage, ids[2])
    assert causes(found) == ["concurrency"]
    assert found.reasons[0].holders == (ids[0],)
    assert found.reasons[0].workers == ("w1",)
    assert (found.place, found.waiting) == (2, 3)
    assert 'concurrency key "orders" is held by execution' in found.reasons[0].text


def test_every_worker_has_as_many_of_the_key_as_it_may(stage: Stage) -> None:
    stage.connect("w1", slots=9)
    ids = stage.submit_ad_hoc(2, concurrency={"per_worker": 1})
    found = explain(stage, ids[1])
    assert causes(found) == ["concurrency"]
    assert found.reasons[0].holders == (ids[0],)
    assert found.reasons[0].workers == ("w1",)


def test_it_is_for_later(stage: Stage) -> None:
    at = stage.now + 60 * SECOND
    (id_,) = stage.submit(submission(spec=None, not_before=at)) if stage.apply() else []
    found = explain(stage, id_)
    assert causes(found) == ["scheduled"]
    assert found.reasons[0].until == at
    assert found.summary == "It is to start at 2026-03-02T12:01:00Z."


def test_it_is_held_behind_an_earlier_run_of_its_job(stage: Stage) -> None:
    job = stage.apply(schedule="every 10s", overlap="queue")
    stage.connect("w1", slots=9)
    stage.live_through(25)
    first, second = job.active.values()
    found = explain(stage, second.id)
    assert causes(found) == ["held"]
    assert found.reasons[0].holders == (first.id,)
    assert "(overlap: queue)" in found.summary


def test_it_runs_and_waits_for_nothing(stage: Stage) -> None:
    session = stage.connect("w1")
    (id_,) = stage.submit_ad_hoc()
    found = explain(stage, id_)
    assert (causes(found), found.reasons[0].workers) == (["leased"], ("w1",))
    stage.start(session, next(iter(session.leases)))
    found = explain(stage, id_)
    assert causes(found) == ["running"]
    assert found.summary == "It waits for nothing: it runs on worker w1."
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=id_, reason="cancelled by bob"))
    found = explain(stage, id_)
    assert causes(found) == ["cancelling"]
    assert "(cancelled by bob)" in found.summary


def test_what_has_ended_is_for_the_store_to_tell(stage: Stage) -> None:
    assert stage.ask(Explain("unknown")) is None


def test_its_queue_is_paused(stage: Stage) -> None:
    stage.connect("w1")
    scope = Scope(PauseKind.QUEUE, queue="default")
    stage.ask(
        BeginPause(
            id="p1",
            scope=scope,
            note="upgrade",
            who="alice",
            until=stage.now + 60 * SECOND,
            meanwhile=Meanwhile.DROP,
        )
    )
    (id_,) = stage.submit_ad_hoc()
    found = explain(stage, id_)
    assert causes(found) == ["held"]
    assert found.reasons[0].until == stage.now + 60 * SECOND
    assert found.summary == (
        'The queue "default" is paused by alice since 2026-03-02T12:00:00Z ("upgrade").'
    )
