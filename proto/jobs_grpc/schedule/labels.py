"""Local labels of a schedule: which clock faces match, whatever the zone.

A label is what a clock on the wall shows, counted in seconds from 1970-01-01 00:00 as if
no zone existed. cronsim knows which days match; the times of a day are a sorted list.
Nothing here knows about zones, so that no shift of the clocks can confuse it: cronsim
alone is wrong around the half-hour shifts of Australia/Lord_Howe.
"""

from __future__ import annotations

import copy
import re
from bisect import bisect_left
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

from cronsim import CronSim

from jobs_grpc.schedule.dialect import Expression

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a label has no zone
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
DAY: Final = 86_400
_PLAIN: Final = re.compile(r"[0-6](-[0-6])?(,[0-6](-[0-6])?)*")


class Days(Protocol):
    """A set of days, counted from 1970-01-01."""

    def matches(self, day: int) -> bool:
        """Say whether a day is one of them."""
        ...

    def first_after(self, day: int) -> int | None:
        """Return the first one after a day; None where the search gives up."""
        ...


class LabelSource(Protocol):
    """A set of labels, in order."""

    def first_from(self, label: int) -> int | None:
        """Return the first one at or after a label; None if none is left."""
        ...


class Clock:
    """Times of a day: minutes, each with the same seconds but for the odd ones."""

    def __init__(
        self,
        minutes: tuple[int, ...],
        seconds: tuple[int, ...],
        odd: Mapping[int, tuple[int, ...]] | None = None,
    ) -> None:
        """`minutes` of the day and `seconds` of the minute rise; neither is empty."""
        self.minutes = minutes
        self._seconds = seconds
        self._odd = odd or {}
        self.earliest = minutes[0] * 60 + self.seconds_of(minutes[0])[0]

    def seconds_of(self, minute: int) -> tuple[int, ...]:
        """Return the seconds of one of the minutes."""
        return self._odd.get(minute, self._seconds)

    def first_from(self, time: int) -> int | None:
        """Return the first of its seconds at or after a second of the day."""
        minute, second = divmod(time, 60)
        place = bisect_left(self.minutes, minute)
        if place < len(self.minutes) and self.minutes[place] == minute:
            seconds = self.seconds_of(minute)
            fitting = bisect_left(seconds, second)
            if fitting < len(seconds):
                return minute * 60 + seconds[fitting]
            place += 1
        if place == len(self.minutes):
            return None
        minute = self.minutes[place]
        return minute * 60 + self.seconds_of(minute)[0]

    def without(self, other: Clock) -> Clock | None:
        """Return these times except the other's; None if nothing is left."""
        taken = set(other.minutes)
        odd = dict(self._odd)
        minutes = []
        for minute in self.minutes:
            if minute in taken:
                gone = other.seconds_of(minute)
                if len(gone) == 60:
                    continue
                left = tuple(one for one in self.seconds_of(minute) if one not in gone)
                if not left:
                    continue
                odd[minute] = left
            minutes.append(minute)
        return Clock(tuple(minutes), self._seconds, odd) if minutes else None


class Labels:
    """The labels that have one of some days, and one of some times of day."""

    def __init__(self, days: Days, clock: Clock) -> None:
        self.days = days
        self.clock = clock

    def first_from(self, label: int) -> int | None:
        """Return the first match at or after a label; None if 50 years have none."""
        day, time = divmod(label, DAY)
        if self.days.matches(day):
            found = self.clock.first_from(time)
            if found is not None:
                return day * DAY + found
        next_day = self.days.first_after(day)
        return None if next_day is None else next_day * DAY + self.clock.earliest


def labels_of(expression: Expression) -> Labels:
    """Return the labels of a cron expression."""
    return Labels(days_of(expression.days), clock_of(expression, expression.seconds))


def clock_of(expression: Expression, seconds: tuple[int, ...]) -> Clock:
    """Return the times of day of a cron expression, with seconds of their own."""
    minutes = tuple(
        hour * 60 + minute for hour in expression.hours for minute in expression.minutes
    )
    return Clock(minutes, seconds)


class EveryDay:
    """Every day."""

    def matches(self, day: int) -> bool:
        del day
        return True

    def first_after(self, day: int) -> int | None:
        return day + 1


class Weekly:
    """Days of the week; 0 is Sunday."""

    def __init__(self, weekdays: frozenset[int]) -> None:
        self._weekdays = weekdays

    def matches(self, day: int) -> bool:
        return (day + 4) % 7 in self._weekdays

    def first_after(self, day: int) -> int | None:
        return next(one for one in range(day + 1, day + 8) if self.matches(one))


@lru_cache(maxsize=1_024)
def days_of(columns: str) -> Days:
    """Return the days of three columns; most schedules share `* * *`."""
    if columns == "* * *":
        return EveryDay()
    day, month, weekday = columns.split()
    if day == month == "*" and (numbers := _plain(weekday)):
        return Weekly(numbers)
    return _CronDays(columns)


def _plain(weekday: str) -> frozenset[int]:
    """Return the numbers of `1-5` or `0,3`; empty for any other text."""
    if not _PLAIN.fullmatch(weekday):
        return frozenset()
    spans = (part.partition("-") for part in weekday.split(","))
    return frozenset(
        number
        for low, _, high in spans
        for number in range(int(low), int(high or low) + 1)
    )


class _CronDays:
    """The matching days, counted from 1970-01-01."""

    def __init__(self, columns: str) -> None:
        self._sim = CronSim(f"0 0 {columns}", _EPOCH)
        # (first, found): `found` is the next match of every day in [first, found). The
        # schedules of one rule ask for the same day again and again.
        self._known = (0, 0)

    def matches(self, day: int) -> bool:
        moment = date.fromordinal(EPOCH_ORDINAL + day)
        return moment.month in self._sim.months and self._sim.match_day(moment)

    def first_after(self, day: int) -> int | None:
        """Return the first match after a day; None where cronsim gives up (50 years)."""
        first, found = self._known
        if first <= day < found:
            return found
        # A copy, for rules are shared and an iterator is not.
        sim = copy.copy(self._sim)
        sim.dt = _EPOCH + timedelta(days=day + 1, seconds=-1)
        try:
            found = next(sim).toordinal() - EPOCH_ORDINAL
        except StopIteration:
            return None
        self._known = (day, found)
        return found
