"""Local labels of a cron expression: which clock faces match, whatever the zone.

A label is what a clock on the wall shows, counted in seconds from 1970-01-01 00:00 as if
no zone existed. cronsim knows which days match; the times of a day are a sorted list.
Nothing here knows about zones, so that no shift of the clocks can confuse it: cronsim
alone is wrong around the half-hour shifts of Australia/Lord_Howe.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

from cronsim import CronSim

from jobs_grpc.schedule.dialect import Expression

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a label has no zone
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_DAY: Final = 86_400


class Labels:
    """The matching labels of one expression, in order."""

    def __init__(self, expression: Expression) -> None:
        self._days = _days(expression.days)
        self._seconds = expression.seconds
        # Minutes of the day, at most 1,440.
        self._minutes = tuple(
            hour * 60 + minute
            for hour in expression.hours
            for minute in expression.minutes
        )
        self._earliest = self._minutes[0] * 60 + self._seconds[0]

    def first_from(self, label: int) -> int | None:
        """Return the first match at or after a label; None if 50 years have none."""
        day, time = divmod(label, _DAY)
        if self._days.matches(day):
            found = self._time_from(time)
            if found is not None:
                return day * _DAY + found
        next_day = self._days.first_after(day)
        return None if next_day is None else next_day * _DAY + self._earliest

    def _time_from(self, time: int) -> int | None:
        """Return the first matching second of a day at or after `time`."""
        minute, second = divmod(time, 60)
        place = bisect_left(self._minutes, minute)
        if place < len(self._minutes) and self._minutes[place] == minute:
            fitting = bisect_left(self._seconds, second)
            if fitting < len(self._seconds):
                return minute * 60 + self._seconds[fitting]
            place += 1
        if place == len(self._minutes):
            return None
        return self._minutes[place] * 60 + self._seconds[0]


@lru_cache(maxsize=1_024)
def _days(columns: str) -> _Days:
    """Return the days of three columns; most schedules share `* * *`."""
    return _Days(columns)


class _Days:
    """The matching days, counted from 1970-01-01."""

    def __init__(self, columns: str) -> None:
        self._sim = CronSim(f"0 0 {columns}", _EPOCH)
        # (first, found): `found` is the next match of every day in [first, found). The
        # schedules of one rule ask for the same day again and again.
        self._known = (0, 0)

    def matches(self, day: int) -> bool:
        moment = date.fromordinal(_EPOCH_ORDINAL + day)
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
            found = next(sim).toordinal() - _EPOCH_ORDINAL
        except StopIteration:
            return None
        self._known = (day, found)
        return found
