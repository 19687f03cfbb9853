"""Time is handed in, never taken.

Instants are integer microseconds since the Unix epoch, UTC (the unit of the journal);
waiting and durations use seconds of the monotonic clock. What decides by time is handed a
`SystemClock` by its program, and a clock of their own by tests. Only the keeper, which
knows no other package, and the stamps of log lines read the clocks of the host themselves.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

SECOND: Final = 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where a program gets its time from."""

    def now(self) -> int:
        """Return the wall clock: microseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never steps, never goes back."""
        ...


class SystemClock:
    """The clocks of this host."""

    def now(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()


def to_datetime(microseconds: int) -> datetime:
    """Return the aware UTC datetime of an instant."""
    return EPOCH + timedelta(microseconds=microseconds)


def from_datetime(instant: datetime) -> int:
    """Return the instant of an aware datetime; a naive one is a `ValueError`."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return (instant - EPOCH) // timedelta(microseconds=1)
