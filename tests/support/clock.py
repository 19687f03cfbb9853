"""A clock that stands until it is told to go."""

from __future__ import annotations

from support.jobs import NOON, SECOND


class FakeClock:
    def __init__(self, now: int = NOON) -> None:
        self._now = now
        self._monotonic = 100.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative one sets the wall clock back."""
        self._now += round(seconds * SECOND)
        self._monotonic += max(0.0, seconds)
