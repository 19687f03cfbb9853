"""When the clocks of a zone change, for people who want to know before they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jobs_grpc.schedule.zone import find_zone


class ClockChange(NamedTuple):
    """Clocks of a zone that go forward or back; the instant in microseconds."""

    at: int
    # Seconds that clocks go forward; negative when they go back.
    shift: int


def clock_changes(timezone: str, after: int, until: int) -> Iterator[ClockChange]:
    """Yield the changes of a zone's clocks in (after, until], both microseconds."""
    zone = find_zone(timezone)
    second, last = after // 1_000_000, until // 1_000_000
    while (change := zone.first_change(second, last)) is not None:
        yield ClockChange(change.at * 1_000_000, change.shift)
        second = change.at
