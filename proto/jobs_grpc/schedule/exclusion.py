"""Exclusions: what a schedule leaves out of the due times that its rule names.

A due time that is excluded is none at all. Excluded are days (of calendars) and times of
days (of cron expressions; one of five fields takes the whole minute). Days and times are
those that a clock in the schedule's zone shows: a label, where the rule has labels.

A search never walks from due time to due time: whole days are skipped by what is known
of them, and after four years of days without one that is left there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from jobs_grpc.schedule.calendars import MOST_DAYS, Calendar
from jobs_grpc.schedule.duration import SECOND
from jobs_grpc.schedule.interval import EveryRule
from jobs_grpc.schedule.labels import DAY, Clock, Days, Labels
from jobs_grpc.schedule.rule import walk
from jobs_grpc.schedule.zone import Zone

_WHOLE_DAY: Final = 1_440
_EARLIEST: Final = -2_208_988_800
# The year 9900, beyond which dates have no arithmetic.
_LAST_DAY: Final = 2_896_373


class Exclusion:
    """Days, and times of days."""

    def __init__(
        self, days: Calendar, times: Sequence[tuple[Days, Clock]], canonical: str
    ) -> None:
        self.canonical = canonical
        self._days = days
        self._times = tuple(times)

    def free_from(self, day: int) -> int | None:
        """Return the first day from `day` on of which not all is excluded as a day."""
        return self._days.free_from(day) if self._days else day

    def on(self, day: int) -> tuple[int, ...]:
        """Return which of the excluded times are those of a day."""
        return tuple(
            [index for index, (days, _) in enumerate(self._times) if days.matches(day)]
        )

    def clock(self, index: int) -> Clock:
        """Return excluded times of a day."""
        return self._times[index][1]


class RemainingLabels:
    """The labels of a rule, without those that are excluded."""

    def __init__(self, labels: Labels, exclusion: Exclusion) -> None:
        self._labels = labels
        self._exclusion = exclusion
        # What is left of the times, by the exclusions that a day meets: a handful.
        self._left: dict[tuple[int, ...], Clock | None] = {(): labels.clock}

    def first_from(self, label: int) -> int | None:
        days, exclusion = self._labels.days, self._exclusion
        day: int | None
        day, time = divmod(label, DAY)
        if not days.matches(day):
            day, time = days.first_after(day), 0
        for _ in range(MOST_DAYS):
            if day is None:
                return None
            free = exclusion.free_from(day)
            if free is None or free >= _LAST_DAY:
                return None
            if free != day:
                day = free if days.matches(free) else days.first_after(free)
                time = 0
                continue
            clock = self._clock(exclusion.on(day))
            found = clock.first_from(time) if clock is not None else None
            if found is not None:
                return day * DAY + found
            day, time = days.first_after(day), 0
        return None

    def _clock(self, met: tuple[int, ...]) -> Clock | None:
        if met not in self._left:
            clock: Clock | None = self._labels.clock
            for index in met:
                if clock is not None:
                    clock = clock.without(self._exclusion.clock(index))
            self._left[met] = clock
        return self._left[met]


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class RemainingEvery:
    """An interval, without the due times that are excluded."""

    base: EveryRule
    canonical: str
    timezone: str
    _exclusion: Exclusion = field(compare=False, repr=False)
    _zone: Zone = field(compare=False, repr=False)
    # (exclusions met, how the day lies to the period): nothing of such a day is left.
    _empty: set[tuple[tuple[int, ...], int]] = field(
        default_factory=set, compare=False, repr=False
    )

    def next_after(self, after: int) -> int | None:
        due = self.base.next_after(max(after, _EARLIEST * SECOND))
        for _ in range(MOST_DAYS):
            second = due // SECOND
            offset = self._zone.offset(second)
            day, time = divmod(second + offset, DAY)
            midnight = day * DAY - offset
            free = self._exclusion.free_from(day)
            if free is None or free >= _LAST_DAY:
                return None
            if free != day:
                due = self._from(self._midnight(free))
                continue
            met = self._exclusion.on(day)
            if not met:
                return due
            # A day in which the clocks change is looked at, never remembered.
            is_even = self._zone.first_change(midnight - 1, midnight + DAY) is None
            key = (met, (midnight * SECOND - self.base.phase) % self.base.period)
            if not (is_even and key in self._empty):
                left = self._left_of(due, met)
                if left is not None:
                    return left
                if is_even and time * SECOND < self.base.period:
                    # From the first due time of the day on, all were excluded.
                    self._empty.add(key)
            due = self._from(midnight + DAY if is_even else self._midnight(day + 1))
        return None

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)

    def _left_of(self, due: int, met: tuple[int, ...]) -> int | None:
        """Return the first due time from `due` on, in its day, that is left."""
        clocks = [self._exclusion.clock(index) for index in met]
        if any(len(clock.minutes) == _WHOLE_DAY for clock in clocks):
            return None
        day = None
        while True:
            second = due // SECOND
            today, time = divmod(second + self._zone.offset(second), DAY)
            if day is not None and today != day:
                return None
            day = today
            ends = [end for clock in clocks if (end := _run_end(clock, time))]
            if not ends:
                return due
            due = self._from(second + max(ends) - time)

    def _from(self, second: int) -> int:
        return self.base.next_after(second * SECOND - 1)

    def _midnight(self, day: int) -> int:
        """Return the instant at which a local day begins, in seconds."""
        label = day * DAY
        second = label - self._zone.offset(label)
        # Once more, for the offset may have changed in between.
        return label - self._zone.offset(second)


def _run_end(clock: Clock, time: int) -> int | None:
    """Return the first second after `time` that is not excluded; None if it is not."""
    end = time
    while end < DAY and clock.first_from(end) == end:
        minute, second = divmod(end, 60)
        if len(clock.seconds_of(minute)) == 60:
            end += 60 - second
        else:
            end += 1
    return end if end > time else None
