"""When a failed attempt is tried again, and how long it waits until then.

Two counts are kept apart. **Retries** are the job's own: an attempt that ran and failed,
in a way that its policy tries again, uses one up. **Infrastructure failures** are ours:
the worker vanished, its keeper died, it would not begin. They cost the job no retry; they
have a cap and pauses of their own, so that a job that takes its workers down does not take
all of them down at full speed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobs_grpc.controlplane.core.rows.story import RetryRow

# Executions whose attempts may have begun and were lost this often are given up.
LOSSES: Final = 10
# The first time is no pattern: the work goes elsewhere at once. Then pauses double.
_FIRST_PAUSE: Final = 1_000_000
_LONGEST_PAUSE: Final = 60_000_000
# 2^53: what a float can tell apart.
_GRAIN: Final = 9_007_199_254_740_992


class Backoff(StrEnum):
    """How the delays of a job grow."""

    NONE = "none"
    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Cause(StrEnum):
    """Why an attempt failed, in the words of the job file."""

    EXIT_CODE = "exit_code"
    TIMEOUT = "timeout"
    SIGNAL = "signal"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """What a job says about failed attempts. Durations are microseconds."""

    max_retries: int
    backoff: Backoff
    initial: int
    factor: float
    longest: int
    has_full_jitter: bool
    on: frozenset[str]
    # Empty for any.
    exit_codes: frozenset[int]
    # Instead of a back-off; the last one counts for the rest.
    delays: tuple[int, ...]

    def covers(self, cause: Cause, exit_code: int | None) -> bool:
        """Return whether an attempt that failed so is one to try again."""
        if cause not in self.on:
            return False
        if cause is Cause.EXIT_CODE and self.exit_codes:
            return exit_code in self.exit_codes
        return True

    def delay(self, execution_id: str, retry: int) -> int:
        """Return how long the nth retry waits, in microseconds; n counts from 1.

        The same execution always gets the same jitter: a leader that must decide again
        decides alike.
        """
        full = self._full_delay(retry)
        if not self.has_full_jitter:
            return full
        return round(full * _share(f"{execution_id}\x1f{retry}"))

    def _full_delay(self, retry: int) -> int:
        if self.delays:
            return self.delays[min(retry, len(self.delays)) - 1]
        match self.backoff:
            case Backoff.NONE:
                return 0
            case Backoff.FIXED:
                return self.initial
            case Backoff.LINEAR:
                return min(self.initial * retry, self.longest)
            case Backoff.EXPONENTIAL:
                return self._exponential(retry)

    def _exponential(self, retry: int) -> int:
        delay = float(self.initial)
        for _ in range(retry - 1):
            delay *= self.factor
            if delay >= self.longest:
                break
        return round(min(delay, self.longest))


@dataclass(slots=True)
class RetryState:
    """What an execution has behind it. Durable: the next term goes on counting."""

    retries: int = 0
    losses: int = 0
    refusals: int = 0
    # Since when it waits for its next attempt, or until when while it is `retrying`.
    due_at: int = 0

    def row(self, seq: int) -> RetryRow:
        return RetryRow(seq, self.retries, self.losses, self.refusals, self.due_at)


def pause_after(failures: int) -> int:
    """Return the pause after the nth infrastructure failure, in microseconds."""
    if failures <= 1:
        return 0
    return int(min(_FIRST_PAUSE << min(failures - 2, 10), _LONGEST_PAUSE))


def _share(text: str) -> float:
    """Return a number in [0, 1) that is the hash of a text."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / _GRAIN
