"""Where the hours stand: round instants of a zone, neither too many nor too few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SECOND: Final = 1_000_000
_STEPS: Final = tuple(
    minutes * 60 * _SECOND
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080)
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def ticks(start: int, end: int, zone: ZoneInfo, most: int) -> list[tuple[int, str]]:
    """Return at most about `most` instants in [start, end) with their labels."""
    step = next((one for one in _STEPS if (end - start) / one <= most), _STEPS[-1])
    offset = local(start, zone).utcoffset() or timedelta()
    shift = round(offset.total_seconds()) * _SECOND
    first = -(-(start + shift) // step) * step - shift
    return [(at, _label(at, zone, step)) for at in range(first, end, step)]


def _label(at: int, zone: ZoneInfo, step: int) -> str:
    moment = local(at, zone)
    if step >= _STEPS[-3]:
        return f"{moment:%d %b}"
    if (moment.hour, moment.minute) == (0, 0):
        return f"{moment:%a %d}"
    return f"{moment:%H:%M}"


def local(at: int, zone: ZoneInfo) -> datetime:
    """Return an instant on the clocks of a zone."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(zone)


def instant(moment: datetime) -> int:
    """Return a moment on the clocks of its zone as an instant."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
