"""Between the contract's times and the journal's integer microseconds."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

# The end of the year 9999; durations of well-known messages are not much longer. Values
# beyond are no times, and would not fit the integers of a database.
_FURTHEST: Final = 253_402_300_799


def timestamp(microseconds: int) -> Timestamp:
    """Return an instant (microseconds since the epoch, UTC) as a message."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def microseconds(message: Timestamp | Duration) -> int:
    """Return the microseconds of an instant or a duration; finer parts are cut.

    What is further away than the year 9999 is brought back to its end.
    """
    seconds = min(max(message.seconds, -_FURTHEST), _FURTHEST)
    return seconds * 1_000_000 + message.nanos // 1_000


def is_valid(message: Timestamp) -> bool:
    """Tell whether an instant is one: in the years 1 to 9999."""
    return (
        -62_135_596_800 <= message.seconds <= _FURTHEST
        and 0 <= message.nanos < 1_000_000_000
    )


def duration(microseconds: int) -> Duration:
    """Return a duration of microseconds as a message."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Duration(seconds=seconds, nanos=rest * 1_000)
