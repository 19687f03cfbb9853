"""The clocks of a zone around one change, minute by minute.

A walk shares nothing with `jobs_grpc.schedule`: it asks `zoneinfo` what the clock shows
at each real minute, and notes which labels come once, which twice, and which never. What
Debian's cron does with them (cron.c), and what the other `dst` words do, is said here
once more, in other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

MINUTE = 60
HOUR = 3_600
DAY = 24 * HOUR
# A change of the clocks this large is a correction and not daylight saving.
CORRECTION = 3 * HOUR
FIRST = int(datetime(1998, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())
# The zones of the specification, and Casey with its changes of exactly three hours.
ZONES = (
    "Europe/Riga",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Antarctica/Troll",  # two hours
    "Africa/Casablanca",  # around Ramadan
    "Europe/Dublin",  # winter is the exception
    "America/Sao_Paulo",  # at midnight
    "Asia/Beirut",  # at midnight
    "Pacific/Apia",  # without 2011-12-30
    "Asia/Kathmandu",  # +05:45
    "Etc/UTC",
    "Antarctica/Casey",
)
ORIGIN = datetime(1970, 1, 1, tzinfo=UTC).toordinal()

# What a clock shows: day since 1970-01-01, minute of the day.
Face = tuple[int, int]


@dataclass(frozen=True)
class Walk:
    """What the clocks of a zone show around an instant; instants in minutes."""

    zone: str
    start: int
    end: int
    # Minutes that clocks go forward; negative when they go back, 0 for no change.
    shift: int
    # Minute of the day to (instant, day), of labels that come once, or that a
    # correction repeats.
    once: Mapping[int, tuple[tuple[int, int], ...]]
    # (first instant, second instant, day, minute).
    twice: tuple[tuple[int, int, int, int], ...]
    # (instant after the gap, the labels that it swallowed).
    gaps: tuple[tuple[int, tuple[Face, ...]], ...]

    # Every day that a clock shows here.
    days: range

    def due(
        self, clock: frozenset[int], is_day: Callable[[int], bool], *, dst: str
    ) -> list[int]:
        """Return the due minutes from start to end; `dst` may be `wild`, too."""
        days = {day for day in self.days if is_day(day)}
        if not days:
            return []
        once = self.once
        found = [
            at
            for minute in clock
            if minute in once
            for at, day in once[minute]
            if day in days
        ]
        for first, second, day, minute in self.twice:
            if minute in clock and day in days:
                if dst != "last":
                    found.append(first)
                if dst in ("wild", "last", "both"):
                    found.append(second)
        if dst not in ("wild", "skip"):
            for at, labels in self.gaps:
                if any(minute in clock and day in days for day, minute in labels):
                    found.append(at)
        return sorted({at for at in found if self.start <= at <= self.end})


def walk(zone: str, change: int, before: int, after: int) -> Walk:
    """Return what clocks show from `before` to `after` seconds around an instant."""
    start, end = (change - before) // MINUTE, (change + after) // MINUTE
    margin = CORRECTION // MINUTE + 60
    info = ZoneInfo(zone)
    shown: dict[tuple[int, Face], list[int]] = {}
    gaps: list[tuple[int, tuple[Face, ...]]] = []
    era, shift, last = 0, 0, face(info, start - margin - 1)
    for at in range(start - margin, end + margin + 1):
        now = face(info, at)
        jump = count(now) - count(last) - 1
        if jump:
            shift = jump
        if abs(jump) * MINUTE >= CORRECTION:
            era += 1
        elif jump > 0:
            missed = range(count(last) + 1, count(now))
            gaps.append((at, tuple(divmod(label, 1_440) for label in missed)))
        shown.setdefault((era, now), []).append(at)
        last = now
    once: dict[int, list[tuple[int, int]]] = {}
    twice = []
    for (_, (day, minute)), ats in shown.items():
        if len(ats) == 2:
            twice.append((ats[0], ats[1], day, minute))
        elif start <= ats[0] <= end:
            once.setdefault(minute, []).append((ats[0], day))
    assert sum(map(len, shown.values())) == end - start + 2 * margin + 1
    days = range(face(info, start - margin)[0] - 1, face(info, end + margin)[0] + 2)
    kept = {minute: tuple(found) for minute, found in once.items()}
    return Walk(zone, start, end, shift, kept, tuple(twice), tuple(gaps), days)


def face(info: ZoneInfo, at: int) -> Face:
    """Return what a clock shows at an instant in minutes."""
    shown = datetime.fromtimestamp(at * MINUTE, info)
    return shown.toordinal() - ORIGIN, shown.hour * 60 + shown.minute


def count(shown: Face) -> int:
    return shown[0] * 1_440 + shown[1]


@cache
def walks(zone: str) -> tuple[Walk, ...]:
    """Return a walk around each change of a zone; around half years where it has none."""
    found = []
    for change in changes(zone):
        short = walk(zone, change, 3 * HOUR, 5 * HOUR)
        if abs(short.shift) * MINUTE >= CORRECTION:
            found.append(walk(zone, change, 26 * HOUR, 26 * HOUR))
        else:
            found.append(short)
    return tuple(found)


def changes(zone: str) -> list[int]:
    """Return the seconds at which the offset changes; one in each half year if never."""
    info = ZoneInfo(zone)

    def offset(second: int) -> object:
        return datetime.fromtimestamp(second, info).utcoffset()

    def first(low: int, high: int) -> int:
        before = offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if offset(middle) != before else (middle, high)
        return high

    def search() -> Iterator[int]:
        for day in range(FIRST, LAST, DAY):
            if offset(day) != offset(day + DAY):
                yield first(day, day + DAY)

    return list(search()) or list(range(FIRST, LAST, 182 * DAY))
