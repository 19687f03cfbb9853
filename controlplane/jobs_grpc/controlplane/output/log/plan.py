"""Which bytes of a group of chunks continue a log, and what each sender is told.

The rule, for a chunk of the log's own fence: it is stored if it begins at the end of what
is stored; what lies before that was stored already and is trimmed off or dropped; what
begins later is not stored, because its sender has to send the bytes in between first,
unless it says that they were dropped: then a gap is stored in their place. All are answered
alike, by the offset at which the log ends.

A log belongs to the fence that wrote its first byte. Other fences are refused, so that two
workers that both believe to hold one attempt cannot interleave their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs_grpc.controlplane.output.log.frames import space_of
from jobs_grpc.controlplane.output.log.reading import gap
from jobs_grpc.controlplane.output.log.recovery import Place
from jobs_grpc.controlplane.output.records import (
    Ack,
    Chunk,
    Content,
    GapReason,
    LogKey,
    Piece,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one group means for one log.

    `end` is where the log ends afterwards; `acks` become true once the pieces are durable.
    """

    fence: int
    pieces: tuple[Content, ...]
    end: Place
    acks: tuple[Ack, ...]
    # What of the log may go, once the pieces are durable.
    dropped: range = range(0)


def plan_group(
    key: LogKey, chunks: Sequence[Chunk], *, fence: int | None, tail: Place
) -> Plan:
    """Decide about `chunks`, in the order given, for a log that ends at `tail`.

    `fence` is the log's owner, None while it is empty; then the highest that speaks
    becomes the owner, since fences only grow.
    """
    speaking = {chunk.fence for chunk in chunks}
    owner = max(speaking) if fence is None else fence
    position, expected = tail
    pieces: list[Content] = []
    dropped = range(0)
    for chunk in chunks:
        if chunk.fence != owner:
            continue
        for piece in _continuing(chunk, expected):
            pieces.append(piece)
            expected = piece.end
            position += space_of(piece)
        if chunk.dropped.stop > dropped.stop:
            dropped = chunk.dropped
    return Plan(
        fence=owner,
        pieces=tuple(pieces),
        end=Place(position, expected),
        acks=tuple(
            Ack(key=key, fence=owner, offset=expected)
            if speaker == owner
            else Ack(key=key, fence=speaker, offset=0, refused=True)
            for speaker in sorted(speaking)
        ),
        dropped=dropped,
    )


def _continuing(chunk: Chunk, expected: int) -> Iterator[Content]:
    """Yield what of the chunk goes behind `expected`, and the gap before it if need be."""
    dropped = chunk.dropped
    if dropped.start <= expected < chunk.offset <= dropped.stop:
        yield gap(expected, chunk.offset, GapReason.DROPPED)
        expected = chunk.offset
    if chunk.offset > expected or chunk.end <= expected:
        return
    known = expected - chunk.offset
    yield Piece(
        stream=chunk.stream,
        offset=expected,
        time_us=chunk.time_us,
        data=chunk.data[known:] if known else chunk.data,
    )
