from __future__ import annotations

import itertools

import pytest

from jobs_grpc.worker.keeper.life import (
    TRANSITIONS,
    Fact,
    IllegalFactError,
    State,
    after,
)


@pytest.mark.parametrize(("state", "fact"), list(itertools.product(State, Fact)))
def test_every_fact_moves_as_the_table_says_or_is_refused(
    state: State, fact: Fact
) -> None:
    if fact in TRANSITIONS[state]:
        assert after(state, fact) is TRANSITIONS[state][fact]
    else:
        with pytest.raises(IllegalFactError, match=fact.name):
            after(state, fact)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {target for row in TRANSITIONS.values() for target in row.values()}
    assert reached | {State.RUNNING} == set(State)
    assert [state for state in State if not TRANSITIONS[state]] == [State.ENDED]


def test_an_attempt_that_is_still_there_can_always_be_asked_to_stop() -> None:
    for state in set(State) - {State.ENDED}:
        assert Fact.STOP_ASKED in TRANSITIONS[state]
