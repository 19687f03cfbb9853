"""Times and durations as people read them. All instants are shown in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def clock_text(instant: datetime | None, absent: str = "-") -> str:
    """Return `2027-01-15 12:00:00`."""
    if instant is None:
        return absent
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def relative_text(instant: datetime | None, now: datetime, absent: str = "-") -> str:
    """Return `3m ago`, `in 2h` or `now`."""
    if instant is None:
        return absent
    distance = instant - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    text = _largest_unit(abs(distance))
    return f"in {text}" if distance > timedelta(0) else f"{text} ago"


def duration_text(duration: timedelta | None, absent: str = "-") -> str:
    """Return `350ms`, `2.1s`, `1m05s` or `2h03m`."""
    if duration is None:
        return absent
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{duration // timedelta(milliseconds=1)}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"


def _largest_unit(distance: timedelta) -> str:
    seconds = int(distance.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
