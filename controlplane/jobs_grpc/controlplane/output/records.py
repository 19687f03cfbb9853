"""What goes into the output path and what comes out of it.

Times are integer microseconds since the epoch, UTC. Offsets count the bytes of one attempt
over all its streams, in the order in which the worker read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias

from jobs_grpc.controlplane.output.errors import OutputArgumentError

# What the contract allows for one chunk. A record of a log is never longer.
MAX_CHUNK_BYTES: Final = 256 * 1024

_EXECUTION_ID: Final = re.compile(r"[A-Za-z0-9_-]{2,128}", re.ASCII)
_MAX_ATTEMPT: Final = 2**31 - 1
_MAX_INTEGER: Final = 2**63 - 1


class Stream(IntEnum):
    """Which pipe bytes came from; the numbers are those of the log's records."""

    STDOUT = 1
    STDERR = 2
    SYSTEM = 3


class GapReason(StrEnum):
    """Why bytes cannot be shown."""

    # The record is on disk, its checksum does not fit.
    DAMAGED = "damaged"
    # The worker counted them and they never arrived.
    MISSING = "missing"
    # They are beyond the job's output limit, or were gone from the worker's disk.
    DROPPED = "dropped"
    # The log was deleted while it was read.
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class LogKey:
    """The name of one attempt's log.

    It becomes a file name, and it comes from a worker, so it is checked here, once.
    """

    execution_id: str
    attempt: int

    def __post_init__(self) -> None:
        if _EXECUTION_ID.fullmatch(self.execution_id) is None:
            raise OutputArgumentError(f"{self.execution_id!r} is not an execution id")
        if not 0 <= self.attempt <= _MAX_ATTEMPT:
            raise OutputArgumentError(f"{self.attempt} is not the number of an attempt")

    @property
    def file_name(self) -> str:
        return f"{self.execution_id}-{self.attempt}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Bytes as a worker sends them. One without data asks how far the log has come."""

    key: LogKey
    fence: int
    stream: Stream
    offset: int
    time_us: int
    data: bytes
    # Offsets that the worker does not keep, and will never send: what of them is stored may
    # go, and a chunk that begins where they end continues a log that ends within them.
    dropped: range = range(0)

    def __post_init__(self) -> None:
        if self.dropped and not 0 <= self.dropped.start < self.dropped.stop <= self.end:
            raise OutputArgumentError(f"{self.dropped} cannot be dropped before this")
        if not 0 <= self.offset <= _MAX_INTEGER - MAX_CHUNK_BYTES:
            raise OutputArgumentError(f"{self.offset} is not an offset")
        if not (0 <= self.fence <= _MAX_INTEGER and 0 <= self.time_us <= _MAX_INTEGER):
            raise OutputArgumentError("fence and time must fit into 63 bits")
        if len(self.data) > MAX_CHUNK_BYTES:
            raise OutputArgumentError(
                f"a chunk holds at most {MAX_CHUNK_BYTES} bytes, not {len(self.data)}"
            )

    @property
    def end(self) -> int:
        """The offset of the byte after the last."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What a worker may forget: everything of the attempt before `offset` is durable.

    A chunk that was not stored because something before it is missing is answered by the
    offset from which to send again. `refused`: the log belongs to another fence.
    """

    key: LogKey
    fence: int
    offset: int
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of one stream, as a follower gets them."""

    stream: Stream
    offset: int
    time_us: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset of the byte after the last."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Bytes that are not available, in their place."""

    offset: int
    length: int
    reason: GapReason

    @property
    def end(self) -> int:
        """The offset of the first byte after the gap."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagged:
    """The follower was too slow for memory: from `offset` on it is served from the log."""

    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The last thing a follower gets.

    `log_complete`: everything that the attempt wrote, or was allowed to write, is stored
    and could be read. `next_offset` is where a later call goes on.
    """

    log_complete: bool
    next_offset: int


Content: TypeAlias = Piece | Gap
FollowEvent: TypeAlias = Piece | Gap | Lagged | End


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """What is known about the end of an attempt, from the execution's row.

    `output_bytes`: what the worker reported in `Finished`; 0 for an attempt that never
    began; None while nobody knows. `final`: the outcome stands and no attempt will
    write into this log any more. `ended_at`: when that was, so that an old log is not
    waited for.
    """

    output_bytes: int | None
    final: bool
    ended_at: int | None = None
