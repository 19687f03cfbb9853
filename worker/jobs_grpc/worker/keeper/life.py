"""The life of one attempt in the keeper.

Whether a fact may follow a state is decided here and nowhere else; nothing here reads a
clock or touches a process. `attempt.py` carries out what a state asks for:

- ``RUNNING``: the main process lives and nobody wants it to end.
- ``STOPPING``: somebody does (cancel, timeout): the cancel ladder runs over the tree.
- ``LINGERING``: the main process ended by itself, but a process of it or an open pipe
  is left; wait a little for both.
- ``SWEEPING``: what lingers has had its time: a short ladder over the leftovers.
- ``DRAINING``: the ladder is over, yet a pipe is held open by somebody else.
- ``ENDED``: the record is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where an attempt stands."""

    RUNNING = auto()
    STOPPING = auto()
    LINGERING = auto()
    SWEEPING = auto()
    DRAINING = auto()
    ENDED = auto()


class Fact(Enum):
    """What can happen to an attempt."""

    STOP_ASKED = auto()
    MAIN_EXITED = auto()
    ALL_QUIET = auto()  # the main process, the rest of the tree and the pipes are gone
    OUTPUT_CLOSED = auto()  # only processes are left, and nobody can hear them
    PATIENCE_PASSED = auto()
    LADDER_OVER = auto()


class IllegalFactError(Exception):
    """A fact came in a state that it cannot follow."""

    def __init__(self, state: State, fact: Fact) -> None:
        super().__init__(f"{fact.name} cannot follow {state.name}")
        self.state = state
        self.fact = fact


TRANSITIONS: Final[Mapping[State, Mapping[Fact, State]]] = {
    State.RUNNING: {
        Fact.STOP_ASKED: State.STOPPING,
        Fact.MAIN_EXITED: State.LINGERING,
    },
    State.STOPPING: {
        Fact.STOP_ASKED: State.STOPPING,
        Fact.MAIN_EXITED: State.STOPPING,
        Fact.LADDER_OVER: State.DRAINING,
    },
    State.LINGERING: {
        Fact.STOP_ASKED: State.SWEEPING,
        Fact.ALL_QUIET: State.ENDED,
        Fact.OUTPUT_CLOSED: State.SWEEPING,
        Fact.PATIENCE_PASSED: State.SWEEPING,
    },
    State.SWEEPING: {
        Fact.STOP_ASKED: State.SWEEPING,
        Fact.LADDER_OVER: State.DRAINING,
    },
    State.DRAINING: {
        Fact.STOP_ASKED: State.DRAINING,
        Fact.MAIN_EXITED: State.DRAINING,
        Fact.ALL_QUIET: State.ENDED,
        Fact.PATIENCE_PASSED: State.ENDED,
    },
    State.ENDED: {},
}


def after(state: State, fact: Fact) -> State:
    """Return the state that follows; an impossible fact is an `IllegalFactError`."""
    target = TRANSITIONS[state].get(fact)
    if target is None:
        raise IllegalFactError(state, fact)
    return target
