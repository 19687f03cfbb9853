from __future__ import annotations

import itertools

import pytest

from jobs_grpc.worker.attempts.attempt import Attempt, Ticket
from jobs_grpc.worker.attempts.table import (
    BUSY,
    TRANSITIONS,
    UNBEGUN,
    Event,
    IllegalEventError,
    State,
    after,
    mermaid,
)
from jobs_grpc.worker.connection.convert import PHASES


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_an_event_moves_as_the_table_says_or_changes_nothing(
    state: State, event: Event
) -> None:
    attempt = Attempt(Ticket(1, "execution", 1, "default", "w", "job", False))
    attempt.state = state
    target = TRANSITIONS[state].get(event)
    if target is None:
        with pytest.raises(IllegalEventError) as refused:
            attempt.move(event)
        assert (refused.value.state, refused.value.event) == (state, event)
        assert attempt.state is state
    else:
        attempt.move(event)
        assert attempt.state is target is after(state, event)


def test_every_state_can_be_reached_and_every_event_is_used() -> None:
    reached = {State.LEASED} | {
        target for row in TRANSITIONS.values() for target in row.values()
    }
    assert reached == set(State)
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)


def test_nothing_that_has_begun_can_be_withdrawn_or_begun_again() -> None:
    begun = set(State) - UNBEGUN - {State.DROPPED}
    for state in begun:
        assert Event.WITHDRAW not in TRANSITIONS[state]
        assert Event.BEGIN not in TRANSITIONS[state]
        assert not (UNBEGUN & set(TRANSITIONS[state].values()))


def test_asking_takes_a_slot_and_is_no_begin() -> None:
    assert State.ASKED in BUSY
    assert State.ASKED in UNBEGUN


def test_every_state_that_is_held_has_a_phase_on_the_wire() -> None:
    assert set(PHASES) == set(State) - {State.DROPPED}


def test_the_diagram_has_every_edge() -> None:
    edges = sum(len(row) for row in TRANSITIONS.values())
    assert len(mermaid().splitlines()) == edges + 1
