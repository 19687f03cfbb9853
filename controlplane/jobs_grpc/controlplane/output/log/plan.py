"""Which bytes of a group of chunks continue a log, and what each sender is told.

The rule, for a chunk of the log's own fence: it is stored if it begins at the end of what
is stored; what lies before that was stored already and is trimmed off or dropped; what
begins later is not stored, because its sender has to send the bytes in between first. All
three are answered alike, by the offset at which the log ends.

A log belongs to the fence that wrote its first byte. Other fences are refused, so that two
workers that both believe to hold one attempt cannot interleave their bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs_grpc.controlplane.output.log.frames import HEADER_BYTES
from jobs_grpc.controlplane.output.log.recovery import Place
from jobs_grpc.controlplane.output.records import Ack, Chunk, LogKey, Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one group means for one log.

    `end` is where the log ends afterwards; `acks` become true once the pieces are durable.
    """

    fence: int
    pieces: tuple[Piece, ...]
    end: Place
    acks: tuple[Ack, ...]


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
    pieces: list[Piece] = []
    for chunk in chunks:
        piece = _continuing(chunk, expected) if chunk.fence == owner else None
        if piece is not None:
            pieces.append(piece)
            expected = piece.end
            position += HEADER_BYTES + len(piece.data)
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
    )


def _continuing(chunk: Chunk, expected: int) -> Piece | None:
    """Return the part of the chunk that begins at `expected`, if there is one."""
    if chunk.offset > expected or chunk.end <= expected:
        return None
    known = expected - chunk.offset
    return Piece(
        stream=chunk.stream,
        offset=expected,
        time_us=chunk.time_us,
        data=chunk.data[known:] if known else chunk.data,
    )
