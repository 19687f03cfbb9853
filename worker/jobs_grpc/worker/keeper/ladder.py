"""How a process tree is made to end: ask, wait, kill, and know when to give up.

A pure state machine: the caller says what time it is and whether anything is alive, and
is told which signal to send. `KILL` is repeated because a tree may grow while it is being
read; it is bounded because a process in uninterruptible sleep cannot be ended by anyone,
and an attempt must not wait for it for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

# A killed process is gone within a few milliseconds; a tree that forks faster than it
# dies needs more passes, not longer ones.
SWEEP_SECONDS: Final = 0.05
# Nobody survives KILL this long except in uninterruptible sleep (a dead network mount).
PATIENCE_SECONDS: Final = 10.0


class Rung(Enum):
    """How far the ladder has been climbed."""

    ASKED = auto()
    KILLED = auto()
    GONE = auto()
    ABANDONED = auto()


class Fact(Enum):
    """What may be seen from a rung."""

    EMPTIED = auto()
    GRACE_PASSED = auto()
    SWEEP_DUE = auto()
    PATIENCE_PASSED = auto()


TRANSITIONS: Final[Mapping[Rung, Mapping[Fact, Rung]]] = {
    Rung.ASKED: {Fact.EMPTIED: Rung.GONE, Fact.GRACE_PASSED: Rung.KILLED},
    Rung.KILLED: {
        Fact.EMPTIED: Rung.GONE,
        Fact.SWEEP_DUE: Rung.KILLED,
        Fact.PATIENCE_PASSED: Rung.ABANDONED,
    },
    Rung.GONE: {},
    Rung.ABANDONED: {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """One ladder; times are seconds of the monotonic clock."""

    rung: Rung
    kill_at: float
    sweep_at: float
    abandon_at: float

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be sent."""
        return not TRANSITIONS[self.rung]

    @property
    def wake_at(self) -> float | None:
        """When to look again although nothing was heard; None when it is over."""
        match self.rung:
            case Rung.ASKED:
                return self.kill_at
            case Rung.KILLED:
                return min(self.sweep_at, self.abandon_at)
            case _:
                return None


def begin(*, now: float, grace_seconds: float) -> Ladder:
    """Return a ladder whose first signal has just been sent."""
    kill_at = now + max(0.0, grace_seconds)
    return Ladder(
        rung=Rung.ASKED,
        kill_at=kill_at,
        sweep_at=kill_at,
        abandon_at=kill_at + PATIENCE_SECONDS,
    )


def hurry(ladder: Ladder, *, now: float, grace_seconds: float) -> Ladder:
    """Return the ladder with its grace shortened; a grace is never made longer."""
    kill_at = min(ladder.kill_at, now + max(0.0, grace_seconds))
    if ladder.rung is not Rung.ASKED or kill_at == ladder.kill_at:
        return ladder
    return replace(ladder, kill_at=kill_at, abandon_at=kill_at + PATIENCE_SECONDS)


def observe(ladder: Ladder, *, now: float, alive: bool) -> tuple[Ladder, bool]:
    """Return the ladder after a look at the tree, and whether to send KILL now."""
    fact = _fact(ladder, now, alive)
    target = TRANSITIONS[ladder.rung].get(fact) if fact is not None else None
    if target is None:
        return ladder, False
    if target is Rung.KILLED:
        return replace(ladder, rung=target, sweep_at=now + SWEEP_SECONDS), True
    return replace(ladder, rung=target), False


def _fact(ladder: Ladder, now: float, alive: bool) -> Fact | None:
    if not alive:
        return Fact.EMPTIED
    if ladder.rung is Rung.ASKED:
        return Fact.GRACE_PASSED if now >= ladder.kill_at else None
    if now >= ladder.abandon_at:
        return Fact.PATIENCE_PASSED
    return Fact.SWEEP_DUE if now >= ladder.sweep_at else None
