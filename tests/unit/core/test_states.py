from __future__ import annotations

from itertools import product

import pytest

from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.states import (
    FAILURES,
    FINAL,
    TRANSITIONS,
    IllegalMoveError,
    Move,
    State,
    after,
    mermaid,
)
from support.jobs import NOON, spec

# Where an execution can begin.
BEGINNINGS = {State.SCHEDULED, State.PENDING}


def execution(state: State) -> Execution:
    return Execution(
        seq=1,
        id="e1",
        spec=spec(),
        job_id=0,
        revision=0,
        trigger="api",
        queue="default",
        priority=3,
        scheduled_for=NOON,
        created_at=NOON,
        requested_by="alice",
        params={},
        state=state,
    )


@pytest.mark.parametrize(("state", "move"), list(product(State, Move)))
def test_a_move_is_in_the_table_or_refused_and_changes_nothing(
    state: State, move: Move
) -> None:
    one = execution(state)
    target = TRANSITIONS[state].get(move)
    if target is not None:
        one.move(move)
        assert one.state is target
        assert after(state, move) is target
        return
    with pytest.raises(IllegalMoveError) as refused:
        one.move(move)
    assert one.state is state
    assert (refused.value.state, refused.value.move) == (state, move)
    assert state.value in str(refused.value)
    assert move.value in str(refused.value)


def test_the_table_has_a_row_for_every_state() -> None:
    assert set(TRANSITIONS) == set(State)


def test_every_state_can_be_reached() -> None:
    reached = set(BEGINNINGS)
    while more := {
        target
        for state in reached
        for target in TRANSITIONS[state].values()
        if target not in reached
    }:
        reached |= more
    assert reached == set(State)


def test_every_state_that_is_not_final_can_be_left_towards_an_end() -> None:
    ending = set(FINAL)
    while more := {
        state
        for state, row in TRANSITIONS.items()
        if state not in ending and ending & set(row.values())
    }:
        ending |= more
    assert ending == set(State)


def test_every_move_is_used() -> None:
    assert {move for row in TRANSITIONS.values() for move in row} == set(Move)


def test_nothing_leaves_a_final_state_but_a_lost_one_that_is_resolved() -> None:
    assert all(not TRANSITIONS[state] for state in FINAL - {State.LOST})
    assert set(TRANSITIONS[State.LOST].values()) <= FINAL - {State.LOST, State.SKIPPED}


def test_failures_are_final_and_a_cancelled_execution_is_none() -> None:
    assert FAILURES < FINAL
    assert State.CANCELLED not in FAILURES


def test_the_diagram_draws_every_move_once() -> None:
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) - 1 == sum(len(row) for row in TRANSITIONS.values())
    assert len(set(lines)) == len(lines)
    assert "    lost --> succeeded: succeed" in lines
