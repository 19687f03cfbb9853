"""The life of one execution.

Rules of this file:

1. Whether a move may follow a state is decided here and nowhere else.
2. Nothing here reads a clock, does I/O, or knows another module of the product.

A state says what is known about the execution as a whole. How far its current attempt
has come on a worker is a `Phase`; it matters only while the execution is not final.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What is known about an execution."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    SKIPPED = "skipped"


class Phase(StrEnum):
    """How far the current attempt has come.

    `leased` is committed before the worker hears of it; `started` is committed before
    an at-most-once worker may begin.
    """

    NONE = "none"
    LEASED = "leased"
    STARTED = "started"


class Move(StrEnum):
    """What can happen to an execution."""

    COME_DUE = "come due"
    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    TIME_OUT = "time out"
    # Nothing runs, so it ends at once.
    CANCEL = "cancel"
    # Something may run, so its end must be awaited.
    ASK_CANCEL = "ask to cancel"
    # The right to run was taken back or never used.
    RELEASE = "release"
    RETRY = "retry"
    LOSE = "lose"
    SKIP = "skip"


_ENDINGS: Final[Mapping[Move, State]] = {
    Move.SUCCEED: State.SUCCEEDED,
    Move.FAIL: State.FAILED,
    Move.TIME_OUT: State.TIMED_OUT,
    Move.CANCEL: State.CANCELLED,
}

TRANSITIONS: Final[Mapping[State, Mapping[Move, State]]] = {
    State.SCHEDULED: {
        Move.COME_DUE: State.PENDING,
        Move.CANCEL: State.CANCELLED,
        Move.SKIP: State.SKIPPED,
    },
    # A worker may report the end together with the start, so endings are legal here.
    State.PENDING: {
        Move.START: State.RUNNING,
        **_ENDINGS,
        Move.ASK_CANCEL: State.CANCELLING,
        Move.RELEASE: State.PENDING,
        Move.RETRY: State.RETRYING,
        Move.LOSE: State.LOST,
        Move.SKIP: State.SKIPPED,
    },
    State.RUNNING: {
        **_ENDINGS,
        Move.ASK_CANCEL: State.CANCELLING,
        Move.RELEASE: State.PENDING,
        Move.RETRY: State.RETRYING,
        Move.LOSE: State.LOST,
    },
    State.RETRYING: {
        Move.COME_DUE: State.PENDING,
        Move.CANCEL: State.CANCELLED,
        Move.TIME_OUT: State.TIMED_OUT,
    },
    # The process may have ended by itself before the signal reached it.
    State.CANCELLING: {**_ENDINGS, Move.LOSE: State.LOST},
    # A late result of the lease that was lost still tells the truth.
    State.LOST: _ENDINGS,
    State.SUCCEEDED: {},
    State.FAILED: {},
    State.TIMED_OUT: {},
    State.CANCELLED: {},
    State.SKIPPED: {},
}

# `lost` counts as final: nothing more is expected, though a late result is believed.
FINAL: Final = frozenset(
    {
        State.SUCCEEDED,
        State.FAILED,
        State.TIMED_OUT,
        State.CANCELLED,
        State.LOST,
        State.SKIPPED,
    }
)
# Final states that count as a failure of the job; a cancelled execution is none.
FAILURES: Final = frozenset({State.FAILED, State.TIMED_OUT, State.LOST})


class IllegalMoveError(Exception):
    """A move that the table does not allow; a bug of the control plane."""

    def __init__(self, state: State, move: Move) -> None:
        super().__init__(f"an execution that is {state.value} cannot {move.value}")
        self.state = state
        self.move = move


def after(state: State, move: Move) -> State:
    """Return the state after `move`, or raise `IllegalMoveError`."""
    target = TRANSITIONS[state].get(move)
    if target is None:
        raise IllegalMoveError(state, move)
    return target


def mermaid() -> str:
    """Return the table as a Mermaid state diagram, for the documents."""
    lines = ["stateDiagram-v2"]
    for state, row in TRANSITIONS.items():
        lines.extend(
            f"    {state.value} --> {target.value}: {move.value}"
            for move, target in row.items()
        )
    return "\n".join(lines)
