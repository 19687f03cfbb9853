"""What a reader gets to see of a log: pieces, and gaps where bytes cannot be shown."""

from __future__ import annotations

from collections.abc import Iterator

from jobs_grpc.controlplane.output.log.frames import (
    Damage,
    Header,
    Window,
    payload,
    piece_of,
    walk,
)
from jobs_grpc.controlplane.output.log.recovery import Place
from jobs_grpc.controlplane.output.records import Content, Gap, GapReason, Piece


def contents(
    window: Window, begin: Place, wanted: range, *, size: int, seed: int
) -> Iterator[Content]:
    """Yield what covers `wanted`, without a hole, from a place at or before its start.

    A gap may reach beyond `wanted`; a piece does not.
    """
    for step in walk(window, begin.position, begin.offset, seed):
        end = size if step.next_offset is None else step.next_offset
        first = max(step.offset, wanted.start)
        if first >= wanted.stop:
            return
        if end <= first:
            continue
        if isinstance(step, Header) and step.is_skip:
            yield gap(first, end, GapReason.DROPPED)
            continue
        data = None if isinstance(step, Damage) else payload(window, step)
        if isinstance(step, Damage) or data is None:
            yield gap(first, end, GapReason.DAMAGED)
        else:
            yield _cut_to(piece_of(step, data), first, wanted.stop)


def gap(begin: int, end: int, reason: GapReason) -> Gap:
    """Return the gap from `begin` up to `end`."""
    return Gap(offset=begin, length=end - begin, reason=reason)


def _cut_to(piece: Piece, begin: int, end: int) -> Piece:
    """Return the part of the piece that lies within `begin` and `end`."""
    if piece.offset == begin and piece.end <= end:
        return piece
    return Piece(
        stream=piece.stream,
        offset=begin,
        time_us=piece.time_us,
        data=piece.data[begin - piece.offset : end - piece.offset],
    )
