"""How single values look in JSON."""

from __future__ import annotations

from datetime import datetime, timedelta


def instant_text(instant: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with a `Z`."""
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def milliseconds(duration: timedelta | None) -> int | None:
    """Return whole milliseconds, rounded down."""
    return None if duration is None else duration // timedelta(milliseconds=1)
