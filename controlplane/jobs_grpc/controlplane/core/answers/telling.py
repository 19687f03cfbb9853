"""Instants, durations and executions as people read them in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from jobs_grpc.controlplane.core.rows.changes import ExecutionRow
from jobs_grpc.schedule import format_duration

_SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# How a final state is said of an execution.
_ENDS: Final = {
    "timed_out": "timed out",
    "cancelled": "was cancelled",
    "lost": "was lost",
    "skipped": "was skipped",
}


def told(at: int, zone: str) -> str:
    """Return an instant as people of a zone read it: `2027-03-14 03:00:00 EDT`."""
    moment = (_EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))
    return moment.strftime("%Y-%m-%d %H:%M:%S %Z")


def nearest_words(
    before: int | None, after: int | None, tell: Callable[[int], str]
) -> str:
    """Return the due times around an instant as a clause."""
    if before is None and after is None:
        return "no due time is near"
    if before is None:
        assert after is not None
        return f"its first due time is {tell(after)}"
    if after is None:
        return f"its last due time was {tell(before)}"
    return f"the nearest due times are {tell(before)} and {tell(after)}"


def fate(row: ExecutionRow | None) -> str:
    if row is None:
        return "is not kept any more"
    if row.finished_at is not None:
        took = ""
        if row.started_at is not None:
            took = f" after {length(row.finished_at - row.started_at)}"
        why = f" ({row.error})" if row.error else ""
        return f"{_ENDS.get(row.state, row.state)}{took}{why}"
    if row.phase != "none" and row.worker:
        return f"is {row.state} on {row.worker}"
    return f"is {row.state}"


def length(microseconds: int) -> str:
    """Return a duration without more digits than anybody reads."""
    if microseconds < _SECOND:
        return f"{microseconds // 1_000}ms"
    return format_duration(microseconds // _SECOND * _SECOND)


def clock(second: int) -> str:
    """Return the time of day of a local second."""
    return (_EPOCH + timedelta(seconds=second)).strftime("%H:%M:%S")
