"""What a job writes, as it arrives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobs_grpc.client.records.execution import Execution
from jobs_grpc.client.records.word import Word


class OutputStream(Word):
    """Where a piece of output was written."""

    STDOUT = "stdout"
    STDERR = "stderr"
    # Notes of the worker itself about the attempt.
    SYSTEM = "system"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPiece:
    """A run of bytes of one stream; `offset` counts over all streams of the attempt."""

    stream: OutputStream
    offset: int
    data: bytes
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Bytes that are not to be had, for example dropped over the output limit."""

    offset: int
    length: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagged:
    """This follower read too slowly for live output: from `offset` on it gets the log.

    Nothing is missing; what follows is no longer live until it has caught up.
    """

    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEnd:
    """The last word of an output stream: the execution as it is now."""

    execution: Execution
    next_offset: int
    # The log has everything the attempt was allowed to write.
    log_complete: bool
