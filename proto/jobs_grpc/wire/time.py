"""Between the contract's times and the journal's integer microseconds."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(microseconds: int) -> Timestamp:
    """Return an instant (microseconds since the epoch, UTC) as a message."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def microseconds(message: Timestamp | Duration) -> int:
    """Return the microseconds of an instant or a duration; finer parts are cut."""
    return message.seconds * 1_000_000 + message.nanos // 1_000


def duration(microseconds: int) -> Duration:
    """Return a duration of microseconds as a message."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Duration(seconds=seconds, nanos=rest * 1_000)
