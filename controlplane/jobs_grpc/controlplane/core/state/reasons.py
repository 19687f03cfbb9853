"""What can keep an execution where it is, as words of the contract and for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .execution import Execution

# So many holders are named.
NAMED: Final = 10


class Cause(StrEnum):
    """What keeps an execution where it is; words of the contract."""

    SCHEDULED = "scheduled"
    RETRY = "retry"
    HELD = "held"
    CONCURRENCY = "concurrency"
    NO_WORKER = "no_worker"
    WORKER_UNAVAILABLE = "worker_unavailable"
    TOO_FEW_SLOTS = "too_few_slots"
    SLOTS_BUSY = "slots_busy"
    NEXT = "next"
    LEASED = "leased"
    RUNNING = "running"
    CANCELLING = "cancelling"
    ENDED = "ended"
    BREAKER = "breaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that keeps an execution where it is."""

    cause: Cause
    # For people: a clause that goes on after "it waits: ".
    text: str
    # Ids of the executions that are in the way; at most ten.
    holders: tuple[str, ...] = ()
    # Names of the workers concerned; at most ten.
    workers: tuple[str, ...] = ()
    # When it ends by itself.
    until: int | None = None


def ids(executions: Iterable[Execution]) -> tuple[str, ...]:
    """Return the ids of the oldest executions."""
    oldest = sorted(executions, key=lambda one: one.seq)[:NAMED]
    return tuple(one.id for one in oldest)


def listed(executions: Iterable[Execution]) -> str:
    """Return executions for people: a few ids, and how many more."""
    found = sorted(executions, key=lambda one: one.seq)
    names = ", ".join(one.id[:8] for one in found[:3])
    rest = f" and {len(found) - 3} more" if len(found) > 3 else ""
    noun = "execution" if len(found) == 1 else "executions"
    return f"{noun} {names}{rest}"
