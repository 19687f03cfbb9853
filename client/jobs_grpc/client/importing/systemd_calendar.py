"""systemd's calendar events (systemd.time(7)) as cron expressions or instants.

    [weekdays] [year-month-day] [hour:minute[:second]] [zone]

Weekday *and* date have to match; cron's rule is *or* where both are restricted. So such
an event is written with `MON#1` or `5L` where it means that, and otherwise with the date
alone, from which the other weekdays are excluded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

SHORTHANDS: Final[Mapping[str, str]] = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
    **dict.fromkeys(
        ("semi-annually", "biannually", "bi-annually"), "*-01,07-01 00:00:00"
    ),
}
_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FULL_DAYS: Final = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
]
_TIME: Final = re.compile(r"[\d*,/.]+(?::[\d*,/.]+){1,2}")
_DATE: Final = re.compile(r"(?:[\d*,/.]+-)?[\d*,/.]+[-~][\d*,/.]+")
_WEEKS: Final = {(d, d + 6): n for n, d in enumerate((1, 8, 15, 22), 1)} | {(29, 31): 5}


class CalendarError(ValueError):
    """A calendar event that cannot be said here, or is none; the text says why."""


class Calendar(NamedTuple):
    """When an event is due: `cron`, or the one local instant `at`. `zone` may be empty."""

    cron: str
    at: str
    zone: str
    # A cron expression whose times are left out.
    exclude: str = ""
    # The first day, and the day after the last, where it is restricted to years.
    start: str = ""
    end: str = ""


class _Spec(NamedTuple):
    weekdays: frozenset[int]
    years: str
    months: str
    days: str
    from_end: bool
    hours: str
    minutes: str
    seconds: str


def read_calendar(text: str) -> Calendar:
    """Return what an `OnCalendar=` means; raises `CalendarError`."""
    words = text.split()
    zone = ""
    if words and _is_zone(words[-1]):
        zone = words.pop()
    if len(words) == 1 and words[0].lower() in SHORTHANDS:
        words = SHORTHANDS[words[0].lower()].split()
    spec = _spec(words, text)
    if _is_instant(spec):
        return Calendar("", _instant(spec), zone)
    start, end = _years(spec.years, text)
    days, exclude = _day_columns(spec, text)
    columns = [
        _column(spec.minutes, 0, 59, "minute"),
        _column(spec.hours, 0, 23, "hour"),
        *days,
    ]
    seconds = _column(spec.seconds, 0, 59, "second")
    if seconds != "0":
        columns.insert(0, seconds)
    return Calendar(" ".join(columns), "", zone, exclude, start, end)


def _is_zone(word: str) -> bool:
    return word[:1].isalpha() and (
        "/" in word
        or word in {"UTC", "GMT", "Z"}
        or (word.isupper() and len(word) > 2 and word.lower() not in _DAYS)
    )


def _spec(words: Sequence[str], text: str) -> _Spec:
    rest = list(words)
    weekdays: frozenset[int] = frozenset(range(7))
    if rest and rest[0][:1].isalpha():
        weekdays = _weekdays(rest.pop(0).rstrip(","), text)
        while rest and rest[0][:1].isalpha():
            weekdays |= _weekdays(rest.pop(0).rstrip(","), text)
    years, months, days, from_end = "*", "*", "*", False
    if rest and _DATE.fullmatch(rest[0]):
        years, months, days, from_end = _date(rest.pop(0))
    hours, minutes, seconds = "0", "0", "0"
    if rest and _TIME.fullmatch(rest[0]):
        hours, minutes, *more = rest.pop(0).split(":")
        seconds = more[0] if more else "0"
    if rest or not words:
        raise CalendarError(f"{text!r} is no calendar event that is understood here")
    return _Spec(weekdays, years, months, days, from_end, hours, minutes, seconds)


def _date(word: str) -> tuple[str, str, str, bool]:
    from_end = "~" in word
    parts = word.replace("~", "-").split("-")
    if len(parts) == 2:
        parts.insert(0, "*")
    years, months, days = parts
    return years, months, days, from_end


def _weekdays(word: str, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        low, dots, high = part.partition("..")
        if not dots and "-" in part:
            low, dots, high = part.partition("-")
        first = _weekday(low, text)
        last = _weekday(high, text) if dots else first
        found |= {
            day % 7 for day in range(first, last + (7 if last < first else 0) + 1)
        }
    return frozenset(found)


def _weekday(word: str, text: str) -> int:
    for names in (_DAYS, _FULL_DAYS):
        if word.lower() in names:
            return names.index(word.lower())
    raise CalendarError(f"{text!r}: {word!r} is no day of the week")


def _column(text: str, low: int, high: int, name: str) -> str:
    """Return a component as a column of cron."""
    terms = [_term(term, low, high, name) for term in text.split(",")]
    return "*" if "*" in terms else ",".join(terms)


def _term(term: str, low: int, high: int, name: str) -> str:
    base, slash, repeat = term.partition("/")
    if "." in base.replace("..", ""):
        raise CalendarError(f"{name}: fractions of a second cannot be said here")
    step = int(repeat) if repeat.isdigit() else 0
    if slash and not step > 0:
        raise CalendarError(f"{name}: {term!r} is no repetition")
    if base == "*":
        if slash:  # systemd refuses it, too
            raise CalendarError(f"{name}: {term!r} is written {low}/{repeat}")
        return "*"
    first_text, dots, last_text = base.partition("..")
    if not first_text.isdigit() or (dots and not last_text.isdigit()):
        raise CalendarError(f"{name}: {term!r} is not understood")
    first = int(first_text)
    last = int(last_text) if dots else (high if step else first)
    if not low <= first <= last <= high:
        raise CalendarError(f"{name}: {term!r} is outside {low}-{high}")
    if first == last or (step and first + step > last):
        return str(first)
    return f"{first}-{last}" + (f"/{step}" if step > 1 else "")


def _day_columns(spec: _Spec, text: str) -> tuple[list[str], str]:
    """Return day of month, month and day of week, and what is excluded from them."""
    months = _column(spec.months, 1, 12, "month")
    names = [_DAYS[day].upper() for day in sorted(spec.weekdays)]
    every_weekday = len(names) == 7
    if spec.from_end and spec.days in {"7/1", "07/1", "01..07", "1..7"}:
        if every_weekday:
            raise CalendarError(f"{text!r}: the last days of a month cannot be said")
        return ["*", months, ",".join(f"{day}L" for day in sorted(spec.weekdays))], ""
    if spec.from_end and spec.days not in {"1", "01"}:
        raise CalendarError(
            f"{text!r} counts from the end of the month in a way that cron cannot"
        )
    days = "L" if spec.from_end else _column(spec.days, 1, 31, "day")
    if every_weekday:
        return [days, months, "*"], ""
    if days == "*":
        return ["*", months, ",".join(names)], ""
    if nth := _weeks(days):
        weeks = ",".join(f"{name}#{n}" for n in nth for name in names)
        return ["*", months, weeks], ""
    others = [name.upper() for name in _DAYS if name.upper() not in names]
    return [days, months, "*"], f"* * * * {','.join(others)}"


def _weeks(days: str) -> list[int]:
    """Return which weeks of a month a column names, if it names whole ones only."""
    low, dash, high = days.partition("-")
    if not dash or not high.isdigit():
        return []
    first, last = int(low), int(high)
    found = [number for (a, b), number in _WEEKS.items() if first <= a and b <= last]
    covered = sum(b - a + 1 for a, b in _WEEKS if first <= a and b <= last)
    return found if covered == last - first + 1 else []


def _is_instant(spec: _Spec) -> bool:
    parts = (spec.years, spec.months, spec.days, spec.hours, spec.minutes, spec.seconds)
    return not spec.from_end and all(part.isdigit() for part in parts)


def _instant(spec: _Spec) -> str:
    """Return the local instant of an event of which all is fixed."""
    parts = (spec.years, spec.months, spec.days, spec.hours, spec.minutes, spec.seconds)
    year, month, day, hour, minute, second = map(int, parts)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _years(text: str, whole: str) -> tuple[str, str]:
    """Return the first day of the first year, and the one after the last."""
    if text == "*":
        return "", ""
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not (len(first) == len(last) == 4 and first.isdigit() and last.isdigit()):
        raise CalendarError(f"{whole!r}: only a range of years can be said here")
    return f"{first}-01-01", f"{int(last) + 1}-01-01"
