"""Rules that know no calendar: every so often, so long after an end, and once.

Due times of an interval are anchor + n * period for every integer n: arithmetic, with no
memory of earlier firings. So they never drift, not over restarts nor changes of clocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jobs_grpc.schedule.duration import DAY, SECOND, format_duration
from jobs_grpc.schedule.error import RuleError
from jobs_grpc.schedule.instant import format_instant
from jobs_grpc.schedule.rule import shared, walk

# Shorter ones are a loop inside the job, not a schedule.
_SHORTEST: Final = SECOND
_LONGEST: Final = 36_500 * DAY


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EveryRule:
    """Due at phase + n * period, in microseconds; the phase is less than the period."""

    period: int
    phase: int

    @property
    def canonical(self) -> str:
        start = format_instant(self.phase)
        return f"every {format_duration(self.period)} from {start}"

    @property
    def timezone(self) -> str:
        return "UTC"

    def next_after(self, after: int) -> int:
        return after + self.period - (after - self.phase) % self.period

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class AtRule:
    """Due once, at an instant in microseconds."""

    instant: int

    @property
    def canonical(self) -> str:
        return f"at {format_instant(self.instant)}"

    @property
    def timezone(self) -> str:
        return "UTC"

    def next_after(self, after: int) -> int | None:
        return self.instant if after < self.instant else None

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class AfterEndRule:
    """Due one period after the end of the job's last execution, in microseconds.

    By itself it names no due time: when the last execution ended is not known here.
    """

    period: int

    @property
    def canonical(self) -> str:
        return f"every {format_duration(self.period)} from end"

    @property
    def timezone(self) -> str:
        return "UTC"

    def next_after(self, after: int) -> int | None:
        del after
        return None

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)


def every_rule(period_microseconds: int, *, anchor: int = 0) -> EveryRule:
    """Return the rule that is due at anchor + n * period, for every integer n.

    Rules of equal period whose anchors differ by whole periods are the same rule. A
    period below a second or above 36,500 days is a `RuleError`.
    """
    _check(period_microseconds)
    phase = anchor % period_microseconds
    return shared(
        ("every", period_microseconds, phase),
        lambda: EveryRule(period_microseconds, phase),
    )


def after_end_rule(period_microseconds: int) -> AfterEndRule:
    """Return the rule that is due so long after the end of the last execution."""
    _check(period_microseconds)
    return shared(
        ("after end", period_microseconds), lambda: AfterEndRule(period_microseconds)
    )


def at_rule(instant: int) -> AtRule:
    """Return the rule that is due once; outside the years 1 to 9999 a `RuleError`."""
    format_instant(instant)  # refuses what no calendar has
    return shared(("at", instant), lambda: AtRule(instant))


def _check(period: int) -> None:
    if not _SHORTEST <= period <= _LONGEST:
        shown = format_duration(min(period, 2 * _LONGEST))
        raise RuleError(f'every must be 1s to 36500d, got "{shown}"')
