"""Calendar rules: days in the words of people, with times of day.

What a cron expression cannot say, or says in a riddle: the last business day of a month
at 18:00, every day at 06:30 and 22:15.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from jobs_grpc.schedule.calendars import Calendar, named
from jobs_grpc.schedule.clock import ClockRule, clock_rule
from jobs_grpc.schedule.days import (
    read_daily,
    read_monthly,
    read_weekly,
    uses_business_days,
)
from jobs_grpc.schedule.error import RuleError, quoted
from jobs_grpc.schedule.labels import Clock, Days, Labels
from jobs_grpc.schedule.zone import Zone

KINDS: Final = ("daily", "weekly", "monthly")
KEYS: Final = ("time", "short_months", "calendar")
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_MOST_TIMES: Final = 1_440


def calendar_rule(
    kind: str,
    spec: Mapping[str, object],
    *,
    zone: Zone,
    dst: str,
    known: Mapping[str, Calendar],
) -> ClockRule:
    """Return the rule of a schedule object with `daily`, `weekly` or `monthly`."""
    value = spec[kind]
    written = spec.get("time")
    if kind == "daily" and _is_time(value):
        if written is not None:
            raise RuleError("the times are given twice: daily and time", field="time")
        value, written = True, value
    clock, times = _clock(written, "time" if "time" in spec else kind)
    off = _calendar(spec, known)
    days, words = _days(kind, value, spec, off)
    canonical = " ".join(part for part in (kind, words, times) if part)
    if uses_business_days(words):
        if off:
            canonical += f" calendar {off.digest}"
    elif "calendar" in spec:
        raise RuleError("calendar goes with business days", field="calendar")
    if kind == "monthly" and spec.get("short_months") == "last-day":
        canonical += " short_months last-day"
    return clock_rule(canonical, Labels(days, clock), zone, dst)


def _days(
    kind: str, value: object, spec: Mapping[str, object], off: Calendar
) -> tuple[Days, str]:
    short = spec.get("short_months", "skip")
    if short not in ("skip", "last-day"):
        raise RuleError(
            f"short_months is skip or last-day, got {quoted(short)}",
            field="short_months",
        )
    if kind != "monthly" and "short_months" in spec:
        raise RuleError("short_months goes with monthly", field="short_months")
    try:
        if kind == "daily":
            return read_daily(value, off)
        if kind == "weekly":
            return read_weekly(value)
        return read_monthly(value, off, to_last=short == "last-day")
    except RuleError as error:
        raise error.under(kind) from None


def _calendar(spec: Mapping[str, object], known: Mapping[str, Calendar]) -> Calendar:
    if "calendar" not in spec:
        return Calendar()
    try:
        return named(spec["calendar"], known)
    except RuleError as error:
        raise error.under("calendar") from None


def _is_time(value: object) -> bool:
    first = value[0] if isinstance(value, list | tuple) and value else value
    return isinstance(first, str) and ":" in first


def _clock(value: object, field: str) -> tuple[Clock, str]:
    """Return the times of day, and their canonical text; midnight if none is given."""
    listed = ["00:00"] if value is None else value
    listed = listed if isinstance(listed, list | tuple) else [listed]
    if not 0 < len(listed) <= _MOST_TIMES:
        raise RuleError("time is one or several times of day", field=field)
    seconds: dict[int, set[int]] = {}
    for one in listed:
        shape = _TIME.fullmatch(one.strip()) if isinstance(one, str) else None
        if shape is None:
            raise RuleError(
                f'a time of day looks like "18:00" or "18:00:30", got {quoted(one)}',
                field=field,
            )
        minute = int(shape[1]) * 60 + int(shape[2])
        seconds.setdefault(minute, set()).add(int(shape[3] or 0))
    texts = [
        f"{minute // 60:02}:{minute % 60:02}" + (f":{second:02}" if second else "")
        for minute in sorted(seconds)
        for second in sorted(seconds[minute])
    ]
    odd = {
        minute: tuple(sorted(found))
        for minute, found in seconds.items()
        if found != {0}
    }
    return Clock(tuple(sorted(seconds)), (0,), odd), ",".join(texts)
