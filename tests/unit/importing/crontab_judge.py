"""When Debian's cron would start a crontab line: a second opinion, by brute force.

Days are walked one by one. On a day on which the clocks do not change a line is due when
the clock shows its hour and minute; the other days are left to the oracle that walks
every minute that really passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from support.cron_oracle import BOUNDS, column, day_matcher, due_times

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIRST_DAY = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def next_times(line: str, zone: str, after: datetime, count: int) -> list[int]:
    """Return the next seconds since the epoch at which a line is due."""
    columns = line.lstrip("-").split()[:5]
    if columns[0].startswith("@"):
        columns = NICKNAMES[columns[0].lower()].split()
    start = int(after.timestamp())
    times = (time for time in _times(columns, ZoneInfo(zone), after) if time > start)
    return list(islice(times, count))


def _times(columns: list[str], zone: ZoneInfo, after: datetime) -> Iterator[int]:
    upper = [one.upper() for one in columns]
    minutes, hours = (sorted(column(upper[i], i, BOUNDS[i])) for i in (0, 1))
    matches = day_matcher(*upper[2:])
    day = after.astimezone(zone).date()
    while True:
        midnight, end = (
            datetime(at.year, at.month, at.day, tzinfo=zone)
            for at in (day, day + timedelta(days=1))
        )
        changes = midnight.utcoffset() != end.utcoffset()
        if changes:
            first, last = int(midnight.timestamp()) - 1, int(end.timestamp()) - 1
            yield from due_times(" ".join(columns), zone.key, first, last)
        elif matches(day.toordinal() - _FIRST_DAY):
            for hour in hours:
                for minute in minutes:
                    yield int(midnight.timestamp()) + hour * 3_600 + minute * 60
        day += timedelta(days=1)
