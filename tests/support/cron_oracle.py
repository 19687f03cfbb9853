"""A second opinion on cron, by brute force: walk the real time and look at the clock.

It shares nothing with `jobs_grpc.schedule`: its own reading of the columns, and Debian's
own loop (cron.c) over every minute, or second, that really passes in a zone. Slow and
plain on purpose; only well-formed expressions are understood.
"""

from __future__ import annotations

import calendar
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

WORDS = {
    3: [
        "",
        "JAN",
        "FEB",
        "MAR",
        "APR",
        "MAY",
        "JUN",
        "JUL",
        "AUG",
        "SEP",
        "OCT",
        "NOV",
        "DEC",
    ],
    4: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
# A change of the clocks this large is a correction and not daylight saving.
CORRECTION_SECONDS = 3 * 3_600
# Enough to know what the clocks showed before and after, for changes below three hours.
MARGIN_SECONDS = 4 * 3_600


def due_times(
    expression: str, zone: str, start: int, end: int, dst: str = "debian"
) -> list[int]:
    """Return the due seconds of (start, end], both seconds since the epoch."""
    columns = expression.upper().split()
    unit = 60 if len(columns) == 5 else 1
    seconds = {0} if unit == 60 else column(columns.pop(0), 0, (0, 59))
    minutes, hours = (column(columns[i], i, BOUNDS[i]) for i in (0, 1))
    clock = {
        (hour * 3_600 + minute * 60 + second) // unit
        for hour in hours
        for minute in minutes
        for second in seconds
    }
    days = day_matcher(columns[2], columns[3], columns[4])
    per_day = 86_400 // unit

    def matches(label: int) -> bool:
        return label % per_day in clock and days(label // per_day)

    first = start - MARGIN_SECONDS
    labels = timeline(zone, first // unit, (end + MARGIN_SECONDS) // unit, unit)
    stars = [word.startswith("*") for word in expression.split()[: 2 + (unit == 1)]]
    correction = CORRECTION_SECONDS // unit
    if dst == "debian":
        found = debian(labels, matches, correction, wild=any(stars))
    else:
        found = by_policy(labels, matches, correction, dst)
    times = ((first // unit + index) * unit for index in found)
    return [time for time in times if start < time <= end]


def debian(
    labels: array[int], matches: Callable[[int], bool], correction: int, *, wild: bool
) -> list[int]:
    """Return the indexes of real ticks at which Debian's cron starts the job."""
    found = []
    virtual = labels[0]
    for index in range(1, len(labels)):
        now = labels[index]
        change = now - labels[index - 1] - 1
        if abs(change) >= correction or now == virtual + 1:
            virtual = now
            is_due = matches(now)
        elif now > virtual:
            missed = range(virtual + 1, now + 1)
            is_due = matches(now) if wild else any(map(matches, missed))
            virtual = now
        else:  # clocks went back: time stands still for fixed times
            is_due = wild and matches(now)
        if is_due:
            found.append(index)
    return found


def by_policy(
    labels: array[int], matches: Callable[[int], bool], correction: int, dst: str
) -> list[int]:
    """Return the indexes of due ticks under `skip`, `first`, `last` or `both`."""
    # Ticks by what the clock shows; a correction starts a new count.
    shown: dict[tuple[int, int], list[int]] = {}
    due: set[int] = set()
    era = 0
    for index, label in enumerate(labels):
        change = label - labels[index - 1] - 1 if index else 0
        if abs(change) >= correction:
            era += 1
        elif (
            change > 0
            and dst != "skip"
            and any(matches(missed) for missed in range(labels[index - 1] + 1, label))
        ):
            due.add(index)
        if matches(label):
            shown.setdefault((era, label), []).append(index)
    for ticks in shown.values():
        chosen = {"skip": ticks[:1], "first": ticks[:1], "last": ticks[-1:]}
        due.update(chosen.get(dst, ticks))
    return sorted(due)


@lru_cache(maxsize=4)
def timeline(zone: str, first: int, last: int, unit: int) -> array[int]:
    """Return what a wall clock shows at each tick, in units since 1970 on its face."""
    info = ZoneInfo(zone)
    origin = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
    labels = array("q")
    for tick in range(first, last + 1):
        face = datetime.fromtimestamp(tick * unit, info)
        minutes = (face.toordinal() - origin) * 1_440 + face.hour * 60 + face.minute
        labels.append(minutes if unit == 60 else minutes * 60 + face.second)
    return labels


def day_matcher(dom: str, month: str, dow: str) -> Callable[[int], bool]:
    """Return whether a day, counted from 1970-01-01, matches the last three columns."""
    months = column(month, 3, BOUNDS[3])
    both = dom[0] in "*?" or dow[0] in "*?"

    @cache
    def matches(number: int) -> bool:
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)
        length = calendar.monthrange(day.year, day.month)[1]
        if day.month not in months:
            return False
        of_month = any(
            day.day == length if term == "L" else day.day in column(term, 2, BOUNDS[2])
            for term in dom.split(",")
        )
        of_week = any(weekday_matches(term, day, length) for term in dow.split(","))
        return (of_month and of_week) if both else (of_month or of_week)

    return matches


def weekday_matches(term: str, day: datetime, length: int) -> bool:
    """Return whether one term of the last column, `5L` and `1#2` included, matches."""
    today = day.isoweekday() % 7
    if term.endswith("L"):
        return today in column(term[:-1], 4, BOUNDS[4]) and day.day + 7 > length
    if "#" in term:
        name, _, count = term.partition("#")
        nth = (day.day - 1) // 7 + 1
        return today in column(name, 4, BOUNDS[4]) and nth == int(count)
    return today in column(term, 4, BOUNDS[4])


@cache
def column(text: str, index: int, bounds: tuple[int, int]) -> frozenset[int]:
    """Return the values of one column by walking from the start of each term."""
    low, high = bounds
    size = high - low + 1
    values = set()
    for term in text.split(","):
        base, _, step = term.partition("/")
        ends = base.split("-")
        if base in ("*", "?"):
            ends = [str(low), str(high)]
        numbers = [
            WORDS[index].index(end) if end.isalpha() else int(end) for end in ends
        ]
        at, last = numbers[0], numbers[-1]
        if len(numbers) == 1 and step:
            last = high
        length = last - at if last >= at else last - at + size
        for distance in range(0, length + 1, int(step or 1)):
            values.add(low + (at + distance - low) % size)
    return frozenset(values)
