"""Due times to come, as a list and as months with marks."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from jobs_grpc.client.records.due_time import DueTime

_MOST_MONTHS = 12


def due_text(one: DueTime, zone: ZoneInfo) -> str:
    """Return `Sun 2026-11-01 01:30:00 EDT`, and what else is to be said."""
    text = _local(one.due_at, zone)
    if one.starts_at != one.due_at:
        late = (one.starts_at - one.due_at).total_seconds()
        text += f"  starts {late:g}s later"
    if one.schedules:
        text += "  " + ", ".join(one.schedules)
    if one.skip is not None:
        text += f"  skipped: {one.skip.value}"
    return text


def month_lines(
    due_times: Sequence[DueTime], zone: ZoneInfo, start: datetime, *, is_all: bool
) -> Iterator[str]:
    """Yield the months of the due times, from that of `start` on, at most twelve.

    A day has `*` for one due time, `#` for several, and `-` if all of them are skipped.
    """
    days: Counter[date] = Counter()
    running: set[date] = set()
    for one in due_times:
        day = one.due_at.astimezone(zone).date()
        days[day] += 1
        if one.skip is None:
            running.add(day)
    first = start.astimezone(zone).date().replace(day=1)
    last = max([first, *days])
    month = first
    for _ in range(_MOST_MONTHS):
        yield from _month(month, days, running, zone)
        following = month + timedelta(
            days=calendar.monthrange(month.year, month.month)[1]
        )
        if following > last:
            break
        month = following
        yield ""
    if not is_all:
        shown = max(days, default=first)
        yield f"more may follow after {shown.isoformat()}: --count says how many are looked at"


def _month(
    first: date, days: Counter[date], running: set[date], zone: ZoneInfo
) -> Iterator[str]:
    yield f"{calendar.month_name[first.month]} {first.year} ({zone.key})"
    yield " ".join(f"{name[:2]} " for name in calendar.day_abbr).rstrip()
    for week in calendar.Calendar().monthdatescalendar(first.year, first.month):
        cells = []
        for day in week:
            if day.month != first.month:
                cells.append("   ")
                continue
            cells.append(f"{day.day:2}{_mark(day, days, running)}")
        yield " ".join(cells).rstrip()
    yield from _clock_changes(first, zone)


def _mark(day: date, days: Counter[date], running: set[date]) -> str:
    count = days[day]
    if not count:
        return " "
    if day not in running:
        return "-"
    return "*" if count == 1 else "#"


def _clock_changes(first: date, zone: ZoneInfo) -> Iterator[str]:
    """Yield a line for each day of a month on which clocks change."""
    length = calendar.monthrange(first.year, first.month)[1]
    for number in range(length):
        day = first + timedelta(days=number)
        before = datetime.combine(day, time(), zone)
        after = datetime.combine(day + timedelta(days=1), time(), zone)
        shift = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
        if shift:
            way = "forward" if shift > timedelta(0) else "back"
            minutes = abs(shift) // timedelta(minutes=1)
            yield f"{day.isoformat()}: clocks go {way} by {minutes} minutes"


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")
