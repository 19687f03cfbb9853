"""Calendars: sets of days that people give a name, such as holidays or a freeze.

A calendar is written as a list of days:

| written | is |
|---|---|
| `2026-12-25` | one day |
| `2026-12-24/2027-01-02` | the days from the first to the last, both included |
| `12-25` | that day of every year |
| `sat`, `saturday` | that day of every week |

Days are those of the schedule's zone. `weekends` is built in.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted
from jobs_grpc.schedule.labels import EPOCH_ORDINAL

# More consecutive days than this without one that is left: there is none. Four years,
# so that the 29th of February has had its turn.
MOST_DAYS: Final = 1_500
_MOST_ENTRIES: Final = 10_000
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_YEARLY: Final = re.compile(r"(\d\d)-(\d\d)", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,127}", re.ASCII)
WEEKDAYS: Final = (
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
)
_NUMBER_OF: Final = {
    word: number for number, name in enumerate(WEEKDAYS) for word in (name, name[:3])
}


@dataclass(frozen=True, slots=True)
class Calendar:
    """A set of days; equal calendars name the same days. Get it from `read_calendar`."""

    # First and last day of each range, counted from 1970-01-01; rising, apart.
    ranges: tuple[tuple[int, int], ...] = ()
    # (month, day) of every year.
    yearly: frozenset[tuple[int, int]] = frozenset()
    # 0 is Sunday.
    weekdays: frozenset[int] = frozenset()

    def contains(self, day: int) -> bool:
        """Say whether a day, counted from 1970-01-01, is one of them."""
        if (day + 4) % 7 in self.weekdays:
            return True
        if self.yearly:
            moment = date.fromordinal(EPOCH_ORDINAL + day)
            if (moment.month, moment.day) in self.yearly:
                return True
        return self._last_of_range(day) is not None

    def free_from(self, day: int) -> int | None:
        """Return the first day at or after a day that is none of them.

        None if four years have none.
        """
        for _ in range(MOST_DAYS):
            if (day + 4) % 7 in self.weekdays:
                day += 1
            elif self.ranges and (last := self._last_of_range(day)) is not None:
                day = last + 1
            elif self.yearly and self.contains(day):
                day += 1
            else:
                return day
        return None

    def _last_of_range(self, day: int) -> int | None:
        place = bisect_right(self.ranges, (day, _FAR)) - 1
        if place >= 0 and self.ranges[place][1] >= day:
            return self.ranges[place][1]
        return None

    def union(self, other: Calendar) -> Calendar:
        """Return the days of both."""
        return Calendar(
            _merged((*self.ranges, *other.ranges)),
            self.yearly | other.yearly,
            self.weekdays | other.weekdays,
        )

    @property
    def digest(self) -> str:
        """A short text of the content: equal for equal calendars."""
        text = repr((self.ranges, sorted(self.yearly), sorted(self.weekdays)))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def __bool__(self) -> bool:
        return bool(self.ranges or self.yearly or self.weekdays)


_FAR: Final = 1 << 40
WEEKENDS: Final = Calendar(weekdays=frozenset({0, 6}))
BUILT_IN: Final[Mapping[str, Calendar]] = {"weekends": WEEKENDS}


def read_calendar(value: object) -> Calendar:
    """Return the calendar that a text or a list of texts describes."""
    entries = value if isinstance(value, list | tuple) else [value]
    if len(entries) > _MOST_ENTRIES:
        raise RuleError(f"a calendar has at most {_MOST_ENTRIES} entries")
    if not entries:
        raise RuleError("a calendar names at least one day")
    ranges: list[tuple[int, int]] = []
    yearly: set[tuple[int, int]] = set()
    weekdays: set[int] = set()
    for entry in entries:
        text = day_text(entry)
        if (number := _NUMBER_OF.get(text.lower())) is not None:
            weekdays.add(number)
        elif shape := _YEARLY.fullmatch(text):
            _date(f"2024-{text}", text)  # a year that has the 29th of February
            yearly.add((int(shape[1]), int(shape[2])))
        elif (found := read_range(text)) is not None:
            ranges.append(found)
        else:
            hint = did_you_mean(text, WEEKDAYS)
            raise RuleError(
                "a day of a calendar is 2026-12-25, 2026-12-24/2027-01-02, 12-25 (every"
                f" year) or a weekday, got {quoted(text)}{hint}"
            )
    calendar = Calendar(_merged(ranges), frozenset(yearly), frozenset(weekdays))
    if Calendar((), calendar.yearly, calendar.weekdays).free_from(0) is None:
        raise RuleError("this calendar names every day of every year")
    return calendar


def read_calendars(value: object) -> dict[str, Calendar]:
    """Return named calendars; a `RuleError` has the name in `field`."""
    if not isinstance(value, Mapping):
        raise RuleError("calendars must be an object: name to days")
    found: dict[str, Calendar] = {}
    for name, days in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise RuleError(
                "the name of a calendar is letters, digits, dots, dashes or underscores"
                f" and starts with a letter, got {quoted(name)}",
                field=str(name),
            )
        if name in BUILT_IN or name.lower() in _NUMBER_OF:
            raise RuleError(f"{quoted(name)} is built in", field=name)
        try:
            found[name] = read_calendar(days)
        except RuleError as error:
            raise error.under(name) from None
    return found


def named(name: object, known: Mapping[str, Calendar]) -> Calendar:
    """Return a calendar by its name; an unknown one is a `RuleError` with a hint."""
    if not isinstance(name, str):
        raise RuleError("a calendar is named by text")
    found = known.get(name) or BUILT_IN.get(name)
    if found is None:
        hint = did_you_mean(name, [*known, *BUILT_IN])
        raise RuleError(
            f"unknown calendar {quoted(name)}"
            + (hint or ": define it under `calendars` of the job or its workspace")
        )
    return found


def read_range(text: str) -> tuple[int, int] | None:
    """Return first and last day of `2026-12-25` or of a range; None if it is neither."""
    first_text, slash, last_text = (part.strip() for part in text.partition("/"))
    if not _DATE.fullmatch(first_text):
        return None
    if slash and not _DATE.fullmatch(last_text):
        return None
    first = _date(first_text, first_text)
    last = _date(last_text, last_text) if slash else first
    if last < first:
        raise RuleError(f"the range {quoted(text)} ends before it starts")
    return first, last


def day_text(entry: object) -> str:
    """Return an entry as text; TOML and YAML readers may have made a date of it."""
    if isinstance(entry, date):
        return entry.isoformat()
    if not isinstance(entry, str):
        raise RuleError(f"a day is text, got {type(entry).__name__}")
    return entry.strip()


def weekday(word: object) -> int:
    """Return the number of a weekday, Sunday 0; `mon`, `Monday`, 1 and 7 are known."""
    if isinstance(word, int) and not isinstance(word, bool) and 0 <= word <= 7:
        return word % 7
    text = word.strip().lower() if isinstance(word, str) else ""
    if text not in _NUMBER_OF:
        hint = did_you_mean(text, WEEKDAYS) if text else ""
        raise RuleError(f"a weekday is sun to sat, or 0 to 7, got {quoted(word)}{hint}")
    return _NUMBER_OF[text]


def _date(text: str, shown: str) -> int:
    try:
        return date.fromisoformat(text).toordinal() - EPOCH_ORDINAL
    except ValueError:
        raise RuleError(f"there is no day {quoted(shown)}") from None


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def united(calendars: Sequence[Calendar]) -> Calendar:
    """Return the days of all of them."""
    result = Calendar()
    for one in calendars:
        result = result.union(one)
    return result
