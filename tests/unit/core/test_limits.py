from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.inputs import Cancel, StreamClosed
from jobs_grpc.controlplane.core.state.live import Session
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.core.waiting.lines import PATIENCE
from support.jobs import NAMESPACE, SECOND, spec, submission
from support.stage import Stage


def leased(stage: Stage) -> list[str]:
    """Return the ids of the executions that workers hold, oldest first."""
    live = stage.core.live.executions.values()
    return [one.id for one in sorted(live, key=lambda one: one.seq) if one.is_leased]


def end(stage: Stage, execution_id: str, move: Move = Move.SUCCEED) -> None:
    execution = stage.core.live.executions[execution_id]
    session = stage.core.live.sessions[execution.session_id]
    stage.end(session, execution.fence, move)


def cancel(stage: Stage, execution_id: str) -> None:
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=execution_id, reason="enough"))


def submit(stage: Stage, params: dict[str, Any] | None = None, **keys: Any) -> str:
    made = spec(**{"name": "ad-hoc", **keys})
    return stage.submit(submission(spec=made, params=params))[0]


def test_a_job_runs_as_many_at_once_as_it_says(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(5, concurrency=2)
    stage.connect(slots=10)
    assert leased(stage) == ids[:2]
    end(stage, ids[1])
    assert leased(stage) == [ids[0], ids[2]]


@pytest.mark.parametrize("move", [Move.FAIL, Move.CANCEL, Move.TIME_OUT, Move.LOSE])
def test_however_a_holder_ends_the_next_one_goes(stage: Stage, move: Move) -> None:
    ids = stage.submit_ad_hoc(2, concurrency=1)
    stage.connect(slots=10)
    end(stage, ids[0], move)
    assert leased(stage) == [ids[1]]


def test_a_key_counts_across_jobs_and_by_the_value_of_its_params(stage: Stage) -> None:
    keys = {"concurrency": {"key": "backup-{{database}}"}}
    orders = submit(stage, {"database": "orders"}, name="dump", **keys)
    again = submit(stage, {"database": "orders"}, name="other", **keys)
    users = submit(stage, {"database": "users"}, name="dump", **keys)
    stage.connect(slots=10)
    assert leased(stage) == [orders, users]
    end(stage, orders)
    assert leased(stage) == [again, users]


def test_a_key_without_a_value_refuses_the_run_and_holds_nothing(stage: Stage) -> None:
    id_ = submit(stage, concurrency={"key": "backup-{{database}}"})
    stage.connect(slots=10)
    assert stage.row(id_).state == "failed"
    assert "{{database}}" in stage.row(id_).error
    assert stage.core.waiting.limits.keys == {}


def test_what_waits_for_a_key_holds_up_nobody_behind_it(stage: Stage) -> None:
    held = stage.submit_ad_hoc(3, name="a", concurrency=1, priority=1)
    free = stage.submit_ad_hoc(3, name="b", priority=5)
    session = stage.connect(slots=2)
    assert leased(stage) == [held[0], free[0]]
    stage.end(
        session,
        next(fence for fence, one in session.leases.items() if one.id == free[0]),
    )
    assert leased(stage) == [held[0], free[1]]


def test_a_line_that_nobody_serves_keeps_no_key_from_others(stage: Stage) -> None:
    key = {"key": "license"}
    stage.submit_ad_hoc(
        3, concurrency=key, priority=1, targets={"selector": {"gpu": "yes"}}
    )
    ids = stage.submit_ad_hoc(2, concurrency=key)
    stage.connect(slots=4)
    assert leased(stage) == ids[:1]
    end(stage, ids[0])
    assert leased(stage) == ids[1:]


def test_those_that_wait_for_a_key_go_in_order_of_priority(stage: Stage) -> None:
    first = stage.submit_ad_hoc(concurrency={"key": "k"})
    stage.connect(slots=10)
    late = submit(stage, priority=5, concurrency={"key": "k"})
    early = submit(stage, priority=1, concurrency={"key": "k"})
    end(stage, first[0])
    assert leased(stage) == [early]
    end(stage, early)
    assert leased(stage) == [late]


def test_one_that_is_cancelled_while_it_has_its_turn_passes_it_on(stage: Stage) -> None:
    session = stage.connect(slots=1)
    _, second, third = stage.submit_ad_hoc(3, concurrency={"key": "k"})
    (other,) = stage.submit_ad_hoc(name="other", priority=1)
    # The key is free now and the second one's turn, but no slot is.
    stage.end(session, next(iter(session.leases)))
    assert leased(stage) == [other]
    cancel(stage, second)
    end(stage, other)
    assert leased(stage) == [third]


def test_a_key_is_held_across_terms(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(2, concurrency=1)
    worker = stage.connect(slots=10)
    stage.start(worker, next(iter(worker.leases)))
    stage.restart()
    assert leased(stage) == [ids[0]]
    execution = stage.core.live.executions[ids[0]]
    session = stage.core.live.sessions[execution.session_id]
    assert session.slots_used == 1
    stage.live_through(120)
    # Nobody knows how the first one ended: the key is free again.
    stage.connect("w2", slots=10)
    assert leased(stage) == [ids[1]]


def test_a_key_that_nobody_knows_any_more_is_forgotten(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(3, concurrency=1)
    stage.connect(slots=10)
    cancel(stage, ids[2])
    end(stage, ids[0])
    end(stage, ids[1])
    assert stage.core.waiting.limits.keys == {}


def test_a_worker_holds_as_many_of_a_key_as_it_may(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(5, concurrency={"per_worker": 2})
    free = stage.submit_ad_hoc(1, name="other", priority=5)
    one = stage.connect("w1", slots=10)
    assert sorted(lease.id for lease in one.leases.values()) == sorted(ids[:2] + free)
    two = stage.connect("w2", slots=10)
    assert [lease.id for lease in two.leases.values()] == ids[2:4]
    end(stage, ids[0])
    assert leased(stage) == [*ids[1:5], *free]
    assert [lease.id for lease in one.leases.values() if lease.scope] == [
        ids[1],
        ids[4],
    ]


def test_a_run_takes_as_many_slots_as_it_says(stage: Stage) -> None:
    heavy = stage.submit_ad_hoc(2, slots=3)
    light = stage.submit_ad_hoc(4, name="light", priority=5)
    session = stage.connect(slots=5)
    assert session.slots_used == 5
    assert leased(stage) == [heavy[0], *light[:2]]
    end(stage, heavy[0])
    assert leased(stage) == [heavy[1], *light[:2]]


def test_slots_are_saved_for_what_needs_several_and_has_waited(stage: Stage) -> None:
    session = stage.connect(slots=2)
    light = stage.submit_ad_hoc(2)
    (heavy,) = stage.submit_ad_hoc(slots=2, name="heavy")
    more = stage.submit_ad_hoc(5, name="more")
    end(stage, light[0])
    assert leased(stage) == [light[1], more[0]]
    stage.now += PATIENCE
    end(stage, light[1])
    assert leased(stage) == [more[0]]
    end(stage, more[0])
    assert leased(stage) == [heavy]
    end(stage, heavy)
    assert leased(stage) == more[1:3]
    assert session.saving_for is None


def test_one_worker_saves_and_the_others_go_on(stage: Stage) -> None:
    stage.connect("w1", slots=2)
    stage.connect("w2", slots=2)
    light = stage.submit_ad_hoc(4)
    stage.submit_ad_hoc(slots=2, name="heavy")
    more = stage.submit_ad_hoc(4, name="more")
    stage.now += PATIENCE
    for id_ in light[:2]:
        end(stage, id_)
    assert len(set(leased(stage)) & set(more)) == 1


def test_slots_are_not_saved_for_what_was_cancelled_or_by_who_is_gone(
    stage: Stage,
) -> None:
    session = stage.connect(slots=2)
    light = stage.submit_ad_hoc(2)
    (heavy,) = stage.submit_ad_hoc(slots=2, name="heavy")
    more = stage.submit_ad_hoc(2, name="more")
    stage.now += PATIENCE
    end(stage, light[0])
    assert leased(stage) == [light[1]]
    cancel(stage, heavy)
    assert leased(stage) == [light[1], more[0]]
    assert session.saving_for is None


def test_another_worker_saves_when_the_first_is_cut_off(stage: Stage) -> None:
    first = stage.connect("w1", slots=2)
    light = stage.submit_ad_hoc(2)
    (heavy,) = stage.submit_ad_hoc(slots=2, name="heavy")
    stage.now += PATIENCE
    end(stage, light[0])
    stage.step(StreamClosed(first.id, stage.streams))
    stage.connect("w2", slots=2)
    assert heavy in leased(stage)


def test_that_it_waited_for_a_key_is_part_of_its_story(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(2, concurrency=1)
    stage.connect(slots=10)
    began = stage.now
    stage.now += 5 * SECOND
    end(stage, ids[0])
    (waited,) = stage.story(ids[1], "waited")
    assert waited == {
        "kind": "waited",
        "at": stage.now,
        "reason": "for the concurrency of job ad-hoc",
        "from": began,
        "until": stage.now,
    }


def test_those_without_limits_are_not_even_looked_at(stage: Stage) -> None:
    stage.submit_ad_hoc(3)
    stage.connect(slots=1)
    limits = stage.core.waiting.limits
    assert (limits.keys, limits.opening) == ({}, {})


def held_by(session: Session) -> int:
    return sum(session.held.values())


def test_the_count_of_a_worker_follows_its_leases(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(3, concurrency={"per_worker": 5})
    session = stage.connect(slots=2)
    assert held_by(session) == 2
    end(stage, ids[0], Move.LOSE)
    assert held_by(session) == 2
    end(stage, ids[1])
    end(stage, ids[2])
    assert session.held == {}
