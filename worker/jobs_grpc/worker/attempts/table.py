"""The life of one attempt on this worker.

Rules of this file:

1. Whether an event may follow a state is decided here and nowhere else.
2. Nothing here reads a clock, does I/O, or knows what kind of work the attempt is.

The leader has a table of its own for the execution; this one answers the questions that
only the worker can: may it have begun, is it still running, is its result safe.

`ASKED` is the state that makes "started at most once" provable. The worker has asked for
the right to begin and has surely not begun, so an inventory may say "received, not
begun", and asking again after a broken stream is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What this worker knows about an attempt."""

    # Received; waits for a slot or for the leader's trust.
    LEASED = "leased"
    # At most once: `starting` is reported, the grant has not come.
    ASKED = "asked"
    # May have begun.
    STARTING = "starting"
    RUNNING = "running"
    # The result is known, and kept until the leader has it.
    FINISHED = "finished"
    # The leader has the result; kept a while longer, should it lose it again.
    ACKNOWLEDGED = "acknowledged"
    # Never begun, and not ours any more.
    DROPPED = "dropped"


class Event(StrEnum):
    """What can happen to an attempt."""

    ASK = "ask"
    BEGIN = "begin"
    START = "start"
    END = "end"
    ACKNOWLEDGE = "acknowledge"
    # The leader lost the result that it had acknowledged.
    RECALL = "recall"
    # The leader refused the start or took back what was not begun.
    WITHDRAW = "withdraw"


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.LEASED: {
        Event.ASK: State.ASKED,
        Event.BEGIN: State.STARTING,
        # A cancel came first, or there is no such work here.
        Event.END: State.FINISHED,
        Event.WITHDRAW: State.DROPPED,
    },
    State.ASKED: {
        # Asked again: the answer may have been lost with its stream.
        Event.ASK: State.ASKED,
        Event.BEGIN: State.STARTING,
        Event.END: State.FINISHED,
        Event.WITHDRAW: State.DROPPED,
    },
    # Quick work may have ended before its start was noticed.
    State.STARTING: {Event.START: State.RUNNING, Event.END: State.FINISHED},
    State.RUNNING: {Event.END: State.FINISHED},
    State.FINISHED: {Event.ACKNOWLEDGE: State.ACKNOWLEDGED},
    State.ACKNOWLEDGED: {Event.RECALL: State.FINISHED},
    State.DROPPED: {},
}

# These hold one of the worker's slots.
BUSY: Final = frozenset({State.ASKED, State.STARTING, State.RUNNING})
# These have surely not begun.
UNBEGUN: Final = frozenset({State.LEASED, State.ASKED})


class IllegalEventError(Exception):
    """An event that the table does not allow; a bug of this worker."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"an attempt that is {state.value} cannot {event.value}")
        self.state = state
        self.event = event


def after(state: State, event: Event) -> State:
    """Return the state after `event`, or raise `IllegalEventError`."""
    target = TRANSITIONS[state].get(event)
    if target is None:
        raise IllegalEventError(state, event)
    return target


def mermaid() -> str:
    """Return the table as a Mermaid state diagram, for the documents."""
    lines = ["stateDiagram-v2"]
    for state, row in TRANSITIONS.items():
        lines.extend(
            f"    {state.value} --> {target.value}: {event.value}"
            for event, target in row.items()
        )
    return "\n".join(lines)
