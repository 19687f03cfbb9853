from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.rows.fleet import BreakerRow
from jobs_grpc.controlplane.core.state.breakers import (
    TRANSITIONS,
    Breaker,
    BreakerKey,
    BreakerMove,
    BreakerState,
    verdict,
)
from jobs_grpc.controlplane.core.state.effects import BreakerMoved
from jobs_grpc.controlplane.core.state.errors import BreakerNotFoundError
from jobs_grpc.controlplane.core.state.inputs import (
    Cancel,
    DeleteJob,
    Explain,
    ListBreakers,
    ResetBreaker,
    TripBreaker,
)
from jobs_grpc.controlplane.core.state.job import BreakerPolicy
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import MINUTE, NAMESPACE, NOON, SECOND, key, result, spec, submission
from support.stage import Stage

POLICY = BreakerPolicy(failures=3, window=MINUTE, open_for=10 * SECOND, successes=2)
JOB = BreakerKey(NAMESPACE, job="_standalone_/backup")
DATABASE = BreakerKey(NAMESPACE, dependency="orders-db")


def judged(policy: BreakerPolicy, *successes: bool, every: int = SECOND) -> Breaker:
    breaker = Breaker(key=JOB)
    for number, success in enumerate(successes):
        breaker.judge("e", policy, success=success, now=NOON + number * every)
    return breaker


# The machine by itself.


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(BreakerState)
    for row in TRANSITIONS.values():
        assert BreakerMove.RESET in row
        assert row[BreakerMove.RESET] is BreakerState.CLOSED


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    assert judged(POLICY, False, False).state is BreakerState.CLOSED
    breaker = judged(POLICY, False, False, False)
    assert breaker.state is BreakerState.OPEN
    assert breaker.until == NOON + 2 * SECOND + POLICY.open_for
    assert (breaker.reason, breaker.trips) == ("3 failures in a row", 1)


def test_a_success_begins_the_count_anew() -> None:
    assert judged(POLICY, False, False, True, False, False).failures == 2


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    breaker = judged(POLICY, False, False, False, every=MINUTE)
    assert breaker.state is BreakerState.CLOSED


def test_it_opens_when_too_large_a_share_failed() -> None:
    policy = BreakerPolicy(failures=100, percent=50, of=4, window=MINUTE)
    assert judged(policy, True, False, False).state is BreakerState.CLOSED
    breaker = judged(policy, True, True, False, True, False)
    assert breaker.state is BreakerState.OPEN
    assert breaker.reason == "2 of the last 4 attempts failed"
    far_apart = judged(policy, True, True, False, True, False, every=MINUTE)
    assert far_apart.state is BreakerState.CLOSED


def test_results_of_before_do_not_count_while_it_is_open() -> None:
    breaker = judged(POLICY, False, False, False, True, False)
    assert breaker.state is BreakerState.OPEN
    assert breaker.until == NOON + 2 * SECOND + POLICY.open_for


def test_a_breaker_is_what_its_row_says() -> None:
    policy = BreakerPolicy(failures=9, percent=60, of=4)
    for breaker in (
        judged(policy, True, False, False),
        judged(POLICY, False, False, False),
    ):
        again = Breaker.of_row(breaker.row())
        assert again.row() == breaker.row()
        assert tuple(again.recent) == tuple(breaker.recent)


@pytest.mark.parametrize(
    ("breaker", "move", "fields", "expected"),
    [
        (JOB, Move.SUCCEED, {}, True),
        (JOB, Move.FAIL, {}, False),
        (JOB, Move.TIME_OUT, {}, False),
        (JOB, Move.LOSE, {}, False),
        (JOB, Move.CANCEL, {}, None),
        (JOB, Move.FAIL, {"never_began": True}, None),
        (DATABASE, Move.FAIL, {}, False),
        # That a worker was lost is not the fault of the database.
        (DATABASE, Move.LOSE, {}, None),
    ],
)
def test_what_says_something(
    breaker: BreakerKey, move: Move, fields: dict[str, Any], expected: bool | None
) -> None:
    assert verdict(breaker, POLICY, result(move, **fields)) is expected


def test_only_the_exit_codes_that_are_named_are_failures() -> None:
    policy = BreakerPolicy(exit_codes=frozenset({75}))
    assert verdict(JOB, policy, result(Move.FAIL, exit_code=75)) is False
    assert verdict(JOB, policy, result(Move.FAIL, exit_code=1)) is None
    assert verdict(JOB, policy, result(Move.TIME_OUT)) is None


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (JOB, "job:backup"),
        (BreakerKey(NAMESPACE, job="my-app/check"), "job:my-app/check"),
        (DATABASE, "orders-db"),
        (DATABASE._replace(worker="w1"), "orders-db@w1"),
        (BreakerKey("", worker="w1"), "worker:w1"),
    ],
)
def test_breakers_have_names(one: BreakerKey, name: str) -> None:
    assert one.name == name


# In the core.


def leased(stage: Stage) -> list[str]:
    live = stage.core.live.executions.values()
    return [one.id for one in sorted(live, key=lambda one: one.seq) if one.is_leased]


def end(stage: Stage, execution_id: str, move: Move = Move.SUCCEED) -> None:
    execution = stage.core.live.executions[execution_id]
    session = stage.core.live.sessions[execution.session_id]
    stage.end(session, execution.fence, move)


def submit(stage: Stage, count: int = 1, **keys: Any) -> list[str]:
    return stage.submit_ad_hoc(count, **{"name": "backup", **keys})


def breakers(stage: Stage) -> dict[str, BreakerRow]:
    """Return the breakers by name, as the core knows them."""
    found = stage.ask(ListBreakers(namespace=NAMESPACE))
    return {BreakerKey(*row[:4]).name: row for row in found}


def committed(stage: Stage) -> dict[str, BreakerRow]:
    return {
        BreakerKey(*one[:4]).name: row
        for one, row in stage.store._fleet.breakers.items()
    }


def fail(stage: Stage, count: int, **keys: Any) -> None:
    for id_ in submit(stage, count, **keys):
        end(stage, id_, Move.FAIL)


BREAKER = {"failures": 3, "open_for": "10s", "successes": 2}


def test_an_open_breaker_makes_work_wait_and_says_so(stage: Stage) -> None:
    stage.connect(slots=9)
    fail(stage, 3, breaker=BREAKER)
    (id_,) = submit(stage, breaker=BREAKER)
    (other,) = submit(stage, name="other")
    assert leased(stage) == [other]
    found = stage.ask(Explain(id_))
    assert [one.cause.value for one in found.reasons] == ["breaker"]
    assert found.reasons[0].until == stage.now + 10 * SECOND
    assert "job:backup is open until" in found.summary
    assert "3 failures in a row" in found.summary
    assert committed(stage)["job:backup"].state == "open"


def test_one_probe_at_a_time_and_then_everybody(stage: Stage) -> None:
    stage.connect(slots=9)
    fail(stage, 3, breaker=BREAKER)
    ids = submit(stage, 4, breaker=BREAKER)
    stage.live_through(9.9)
    assert leased(stage) == []
    stage.live_through(0.1)
    assert leased(stage) == ids[:1]
    assert committed(stage)["job:backup"].probe == ids[0]
    waiting = stage.ask(Explain(ids[1]))
    assert waiting.reasons[0].holders == (ids[0],)
    end(stage, ids[0])
    assert leased(stage) == ids[1:2]
    end(stage, ids[1])
    assert leased(stage) == ids[2:]
    assert committed(stage)["job:backup"].state == "closed"
    states = [fact.state for fact in stage.said(BreakerMoved)]
    assert states == ["open", "half_open", "closed"]


def test_a_probe_that_fails_opens_it_again(stage: Stage) -> None:
    stage.connect(slots=9)
    fail(stage, 3, breaker=BREAKER)
    ids = submit(stage, 2, breaker=BREAKER)
    stage.live_through(10)
    end(stage, ids[0], Move.FAIL)
    assert leased(stage) == []
    row = breakers(stage)["job:backup"]
    assert (row.state, row.until, row.trips) == ("open", stage.now + 10 * SECOND, 2)


def test_a_probe_that_says_nothing_makes_way_for_another(stage: Stage) -> None:
    stage.connect(slots=9)
    fail(stage, 3, breaker=BREAKER)
    ids = submit(stage, 2, breaker=BREAKER)
    stage.live_through(10)
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=ids[0], reason="enough"))
    assert leased(stage) == [ids[0]]
    end(stage, ids[0], Move.CANCEL)
    assert leased(stage) == [ids[1]]


def test_work_that_was_leased_before_it_opened_goes_on(stage: Stage) -> None:
    stage.connect(slots=9)
    ids = submit(stage, 5, breaker=BREAKER)
    for id_ in ids[:3]:
        end(stage, id_, Move.FAIL)
    assert leased(stage) == ids[3:]
    end(stage, ids[3])
    assert breakers(stage)["job:backup"].state == "open"
    stage.live_through(10)
    (probe,) = submit(stage, breaker=BREAKER)
    # The old one is no probe, whatever becomes of it.
    end(stage, ids[4], Move.FAIL)
    assert leased(stage) == [probe]
    assert breakers(stage)["job:backup"].state == "half_open"


def test_a_dependency_is_shared_by_its_jobs_and_by_no_other(stage: Stage) -> None:
    stage.connect(slots=9)
    database = {"name": "orders-db", **BREAKER}
    fail(stage, 2, name="a", breaker=database)
    fail(stage, 1, name="b", breaker=database)
    submit(stage, name="a", breaker=database)
    submit(stage, name="c", breaker=[{"name": "users-db"}, database])
    (free,) = submit(stage, name="d", breaker={"name": "users-db"})
    assert leased(stage) == [free]


def test_what_has_two_breakers_waits_for_both(stage: Stage) -> None:
    stage.connect(slots=9)
    fail(stage, 3, name="a", breaker={"name": "one", **BREAKER, "open_for": "10s"})
    fail(stage, 3, name="a", breaker={"name": "two", **BREAKER, "open_for": "20s"})
    both = [{"name": "one", **BREAKER}, {"name": "two", **BREAKER}]
    ids = submit(stage, 2, name="b", breaker=both)
    (only_one,) = submit(stage, name="c", breaker={"name": "one", **BREAKER})
    stage.live_through(15)
    # Those that wait for the other one too do not take the probe's place.
    assert leased(stage) == [only_one]
    end(stage, only_one)
    stage.live_through(10)
    assert leased(stage) == ids[:1]


def test_a_breaker_and_a_key_together_lose_nobody(stage: Stage) -> None:
    stage.connect(slots=9)
    keys: dict[str, Any] = {"breaker": BREAKER, "concurrency": {"key": "k"}}
    fail(stage, 3, **keys)
    ids = submit(stage, 3, **keys)
    (other,) = submit(stage, name="other", concurrency={"key": "k"})
    assert leased(stage) == [other]
    stage.live_through(10)
    assert leased(stage) == [other]
    end(stage, other)
    for id_ in ids:
        assert leased(stage) == [id_]
        end(stage, id_)


def test_it_stays_open_over_a_restart_and_the_probe_stays_the_probe(
    stage: Stage,
) -> None:
    session = stage.connect(slots=9)
    fail(stage, 3, breaker=BREAKER)
    ids = submit(stage, 2, breaker=BREAKER)
    stage.restart(after=1)
    assert leased(stage) == []
    assert breakers(stage)["job:backup"].state == "open"
    stage.connect(slots=9)
    stage.live_through(10)
    assert leased(stage) == ids[:1]
    probe = stage.core.live.executions[ids[0]]
    stage.start(stage.core.live.sessions[probe.session_id], probe.fence)
    stage.restart()
    row = breakers(stage)["job:backup"]
    assert (row.state, row.probe) == ("half_open", ids[0])
    assert leased(stage) == ids[:1]
    end(stage, ids[0])
    assert breakers(stage)["job:backup"].successes == 1
    assert session is not None


def test_failures_are_counted_over_a_restart(stage: Stage) -> None:
    stage.connect(slots=9)
    fail(stage, 2, breaker=BREAKER)
    stage.restart()
    stage.connect(slots=9)
    fail(stage, 1, breaker=BREAKER)
    assert breakers(stage)["job:backup"].state == "open"


def test_with_a_breaker_for_each_worker_work_goes_elsewhere(stage: Stage) -> None:
    keys: dict[str, Any] = {"breaker": {**BREAKER, "scope": "worker"}}
    stage.connect("w1", slots=9)
    fail(stage, 3, **keys)
    (id_,) = submit(stage, **keys)
    (other,) = submit(stage, name="other")
    assert leased(stage) == [other]
    found = stage.ask(Explain(id_))
    assert [one.cause.value for one in found.reasons] == ["breaker"]
    assert "job:backup@w1 is open" in found.summary
    second = stage.connect("w2", slots=9)
    assert [one.id for one in second.leases.values()] == [id_]
    stage.cut(second)
    ids = submit(stage, 2, **keys)
    stage.live_through(10)
    assert leased(stage) == [id_, other, ids[0]]


# Workers.


def lose(stage: Stage, count: int) -> None:
    for _ in range(count):
        stage.now += SECOND
        (id_,) = submit(stage, name="plain")
        end(stage, id_, Move.LOSE)


def test_a_worker_that_loses_its_attempts_is_left_alone(stage: Stage) -> None:
    stage.connect("w1", slots=9)
    lose(stage, 5)
    (id_,) = submit(stage, name="plain")
    assert leased(stage) == []
    assert breakers(stage)["worker:w1"].state == "open"
    found = stage.ask(Explain(id_))
    assert [one.cause.value for one in found.reasons] == ["worker_unavailable"]
    assert "w1 is left alone: circuit breaker worker:w1 is open until" in found.summary
    # Work goes elsewhere.
    second = stage.connect("w2", slots=1)
    assert [one.id for one in second.leases.values()] == [id_]


def test_a_worker_gets_one_probe_and_then_all_its_work(stage: Stage) -> None:
    stage.connect("w1", slots=9)
    lose(stage, 5)
    ids = submit(stage, 3, name="plain")
    stage.live_through(30)
    assert leased(stage) == ids[:1]
    end(stage, ids[0], Move.FAIL)
    # The job failed, the worker did not.
    assert leased(stage) == ids[1:]


def test_attempts_that_one_trouble_has_cost_count_once(stage: Stage) -> None:
    session = stage.connect("w1", slots=9)
    submit(stage, 9, name="plain")
    stage.now += SECOND
    for fence in tuple(session.leases):
        stage.end(session, fence, Move.LOSE)
    assert breakers(stage)["worker:w1"].failures == 1


def test_an_execution_that_ends_its_worker_again_and_again_is_to_blame_itself(
    stage: Stage,
) -> None:
    stage.connect("w1", slots=9)
    (id_,) = submit(stage, name="poison", idempotent=True)
    for _ in range(5):
        stage.wait(60)
        end(stage, id_, Move.LOSE)
    assert breakers(stage)["worker:w1"].failures == 1


def test_plain_work_writes_nothing_about_breakers(stage: Stage) -> None:
    stage.connect(slots=9)
    for move in (Move.SUCCEED, Move.FAIL, Move.TIME_OUT):
        (id_,) = submit(stage, name="plain")
        end(stage, id_, move)
    (id_,) = submit(stage, breaker=BREAKER)
    end(stage, id_)
    assert committed(stage) == {}


# By hand.


def test_an_operator_opens_and_closes(stage: Stage) -> None:
    stage.apply(breaker=BREAKER)
    stage.connect(slots=9)
    assert breakers(stage)["job:backup"].state == "closed"
    trip = TripBreaker(namespace=NAMESPACE, name="job:backup", reason="tripped by bob")
    assert stage.ask(trip).state == "open"
    (id_,) = stage.submit(submission())
    stage.live_through(3600)
    assert leased(stage) == []
    found = stage.ask(Explain(id_))
    assert "is open until it is reset (tripped by bob)" in found.summary
    stage.restart()
    stage.connect(slots=9)
    assert leased(stage) == []
    reset = ResetBreaker(namespace=NAMESPACE, name="job:backup", reason="reset by bob")
    assert stage.ask(reset).state == "closed"
    assert leased(stage) == [id_]


def test_an_operator_opens_for_a_while(stage: Stage) -> None:
    stage.apply(breaker=BREAKER)
    stage.connect(slots=9)
    until = stage.now + 5 * SECOND
    stage.ask(
        TripBreaker(namespace=NAMESPACE, name="job:backup", reason="r", until=until)
    )
    (id_,) = stage.submit(submission())
    stage.live_through(5)
    assert leased(stage) == [id_]


def test_a_worker_can_be_left_alone_by_hand(stage: Stage) -> None:
    stage.connect("w1", slots=9)
    stage.ask(TripBreaker(namespace=NAMESPACE, name="worker:w1", reason="smoke"))
    (id_,) = submit(stage, name="plain")
    assert leased(stage) == []
    stage.ask(ResetBreaker(namespace=NAMESPACE, name="worker:w1", reason="mended"))
    assert leased(stage) == [id_]


@pytest.mark.parametrize("name", ["job:backup", "orders-db", "worker:w9", ""])
def test_a_breaker_that_is_not_there_is_refused(stage: Stage, name: str) -> None:
    before = stage.store._fleet.breakers.copy()
    for request in (
        TripBreaker(namespace=NAMESPACE, name=name, reason="r"),
        ResetBreaker(namespace=NAMESPACE, name=name, reason="r"),
    ):
        with pytest.raises(BreakerNotFoundError, match="no circuit breaker"):
            stage.ask(request)
    assert stage.store._fleet.breakers == before


def test_breakers_of_another_namespace_are_not_seen(stage: Stage) -> None:
    stage.apply(breaker=BREAKER)
    assert stage.ask(ListBreakers(namespace="other")) == ()
    with pytest.raises(BreakerNotFoundError):
        stage.ask(TripBreaker(namespace="other", name="job:backup", reason="r"))


def test_a_job_that_is_deleted_takes_its_breaker_along(stage: Stage) -> None:
    stage.apply(breaker=BREAKER)
    stage.ask(TripBreaker(namespace=NAMESPACE, name="job:backup", reason="r"))
    stage.ask(DeleteJob(key()))
    assert committed(stage)["job:backup"].state == "closed"
    assert spec(breaker=BREAKER).breakers[0].failures == 3
