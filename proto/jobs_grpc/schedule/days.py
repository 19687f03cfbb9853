"""Which days a calendar rule names: `daily`, `weekly`, `monthly`.

| rule | values |
|---|---|
| `daily` | `true` (every day), `business-days` |
| `weekly` | weekdays: `mon`, `[mon, fri]` |
| `monthly` | 1 to 31, `last-day`, `first-monday` to `fifth-sunday`, `last-friday`, `first-business-day` to `fifth-business-day`, `last-business-day`; one or a list |

A month without the day (31 in April, a fifth Monday) is left out, unless
`short_months: last-day` says otherwise for the numbers. Business days are Monday to
Friday, except those of the schedule's `calendar`.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from jobs_grpc.schedule.calendars import (
    MOST_DAYS,
    WEEKDAYS,
    WEEKENDS,
    Calendar,
    weekday,
)
from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted
from jobs_grpc.schedule.labels import EPOCH_ORDINAL, Days, EveryDay, Weekly

_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth")
_BUSINESS: Final = "business-day"
_MONTHS_AHEAD: Final = 50 * 12


class BusinessDays:
    """Every day that is neither on a weekend nor in a calendar."""

    def __init__(self, off: Calendar) -> None:
        self._off = off.union(WEEKENDS)

    def matches(self, day: int) -> bool:
        return not self._off.contains(day)

    def first_after(self, day: int) -> int | None:
        return self._off.free_from(day + 1)


class Monthly:
    """Days of the month, each in the words of the module."""

    def __init__(self, words: Sequence[str], off: Calendar, *, to_last: bool) -> None:
        self._words = tuple(words)
        self._business = BusinessDays(off)
        self._to_last = to_last
        self._days_of = lru_cache(maxsize=24)(self._days_of_month)

    def matches(self, day: int) -> bool:
        moment = date.fromordinal(EPOCH_ORDINAL + day)
        return day in self._days_of(moment.year * 12 + moment.month - 1)

    def first_after(self, day: int) -> int | None:
        moment = date.fromordinal(EPOCH_ORDINAL + day)
        month = moment.year * 12 + moment.month - 1
        for number in range(month, month + _MONTHS_AHEAD):
            days = self._days_of(number)
            place = bisect_left(days, day + 1)
            if place < len(days):
                return days[place]
        return None

    def _days_of_month(self, number: int) -> tuple[int, ...]:
        year, month = divmod(number, 12)
        first = date(year, month + 1, 1).toordinal() - EPOCH_ORDINAL
        length = calendar.monthrange(year, month + 1)[1]
        every = range(first, first + length)
        found = (self._day(word, every) for word in self._words)
        return tuple(sorted({day for day in found if day is not None}))

    def _day(self, word: str, month: range) -> int | None:
        """Return the day that a word names in a month; None where there is none."""
        if word.isdecimal():
            number = int(word)
            if number > len(month):
                return month[-1] if self._to_last else None
            return month[number - 1]
        which, _, kind = word.partition("-")
        if kind == "day":
            return month[-1]
        if kind == _BUSINESS:
            days = [day for day in month if self._business.matches(day)]
        else:
            number = weekday(kind)
            days = [day for day in month if (day + 4) % 7 == number]
        place = -1 if which == "last" else _ORDINALS.index(which)
        return days[place] if place < len(days) and days else None


def read_daily(value: object, off: Calendar) -> tuple[Days, str]:
    """Return the days of `daily`, and their canonical words."""
    if value is True:
        return EveryDay(), ""
    if isinstance(value, str) and value.strip() in {"business-days", "business-day"}:
        return _some(BusinessDays(off)), "business-days"
    raise RuleError(f"daily is true, business-days or times, got {quoted(value)}")


def read_weekly(value: object) -> tuple[Days, str]:
    """Return the days of `weekly`, and their canonical words."""
    numbers = sorted({weekday(word) for word in _listed(value, "weekly")})
    words = ",".join(WEEKDAYS[number][:3] for number in numbers)
    return Weekly(frozenset(numbers)), words


def read_monthly(value: object, off: Calendar, *, to_last: bool) -> tuple[Days, str]:
    """Return the days of `monthly`, and their canonical words."""
    words = sorted({_monthly_word(word) for word in _listed(value, "monthly")})
    return _some(Monthly(words, off, to_last=to_last)), ",".join(words)


def uses_business_days(words: str) -> bool:
    """Say whether the canonical words of days ask for a calendar."""
    return _BUSINESS in words


def _some(days: Days) -> Days:
    """Refuse days that never come."""
    # Any beginning will do: what is left out for ever is left out from here, too.
    if days.first_after(date(2020, 1, 1).toordinal() - EPOCH_ORDINAL) is None:
        raise RuleError(f"the calendar leaves no such day in {MOST_DAYS} days")
    return days


def _monthly_word(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = value.strip().lower().replace(" ", "-") if isinstance(value, str) else ""
    if text.isascii() and text.isdecimal():
        if 1 <= int(text[:9]) <= 31:
            return str(int(text))
    elif text in {"last", "last-day"}:
        return "last-day"
    else:
        which, _, kind = text.partition("-")
        if which in (*_ORDINALS, "last"):
            if kind == _BUSINESS:
                return text
            for name in WEEKDAYS:
                if kind in (name, name[:3]):
                    return f"{which}-{name}"
    known = ["last-day", f"last-{_BUSINESS}", *(f"last-{name}" for name in WEEKDAYS)]
    known += [
        f"{which}-{name}" for which in _ORDINALS for name in (*WEEKDAYS, _BUSINESS)
    ]
    raise RuleError(
        "a day of the month is 1 to 31, last-day, first-monday, last-friday or"
        f" last-business-day, got {quoted(value)}"
        f"{did_you_mean(text, known) if text and not text.isdecimal() else ''}"
    )


def _listed(value: object, field: str) -> list[object]:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    if len(listed) == 1 and isinstance(listed[0], str):
        listed = [part for part in listed[0].split(",") if part.strip()]
    if not listed or len(listed) > 100:
        raise RuleError(f"{field} names at least one day")
    return listed
