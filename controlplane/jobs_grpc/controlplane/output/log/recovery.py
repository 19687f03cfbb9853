"""Where a log really ends, found by hopping over its headers.

Two kinds of harm look alike and must be treated in opposite ways:

- A **torn tail**: the power went while a group was being written. Nothing of the group was
  acknowledged, the worker still has it, so the log is cut at the first bad record and the
  worker sends the rest again.
- **Damage**: the medium changed bytes that had been acknowledged. The worker may have
  forgotten them. Cutting here would throw away good records behind the damage, so the
  damaged range stays, is shown as a gap, and the log goes on behind it.

What tells them apart is `back` in every header: how far before the record the file was
already synced when the record was written. The last whole record of a file thus names the
end of the durable part of its day. Before that point nothing can be torn; from there on,
every record is checked with its payload and the first bad one ends the log.

The last group of a file may have been synced and still be taken for torn when bits flip in
it. Then the log is short: the worker replays, or the missing bytes show in the end of the
log. Wrong bytes are never shown.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from jobs_grpc.controlplane.output.log.frames import (
    Damage,
    Header,
    Window,
    payload,
    walk,
)

# One entry for at least this many bytes of file: 10 GB of log cost 1.3 MB of memory, and
# a read begins with at most this much to hop over (0.2 ms with records of 200 bytes).
INDEX_STRIDE: Final = 128 * 1024


class Place(NamedTuple):
    """A point of a log: where in the file, and which byte of output comes there."""

    position: int
    offset: int


class SparseIndex:
    """Places of some records, in order; it only grows while the log is open."""

    def __init__(self) -> None:
        self._positions = array("q", [0])
        self._offsets = array("q", [0])

    def note(self, place: Place) -> None:
        """Remember a record's beginning, if the last one remembered is far enough."""
        if place.position - self._positions[-1] >= INDEX_STRIDE:
            self._positions.append(place.position)
            self._offsets.append(place.offset)

    def without(self, hole: range) -> SparseIndex:
        """Return the index without the places that lie strictly within a hole of the file."""
        kept = SparseIndex()
        for place in self.places():
            if place.position <= hole.start or place.position >= hole.stop:
                kept.note(place)
        return kept

    def before(self, offset: int) -> Place:
        """Return the last place remembered whose offset is not beyond `offset`."""
        at = bisect_right(self._offsets, offset) - 1
        return Place(self._positions[at], self._offsets[at])

    def places(self) -> Iterator[Place]:
        """Yield every place, in order."""
        return map(Place, self._positions, self._offsets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The good part of a file. `fence` is None while the log is empty.

    What lies between `unsure_from` and the end is whole, and perhaps in memory only.
    """

    end: Place
    unsure_from: int
    fence: int | None
    index: SparseIndex


def recover(window: Window, seed: int) -> Recovered:
    """Return what of the file stands; nothing is written."""
    index = SparseIndex()
    damages: list[Damage] = []
    first: Header | None = None
    last: Header | None = None
    group = Place(0, 0)
    for step in walk(window, 0, 0, seed):
        if isinstance(step, Damage):
            damages.append(step)
            continue
        first = first or step
        last = last if step.is_skip else step
        index.note(Place(step.position, step.offset))
        if step.back == 0 and not step.is_skip:
            group = Place(step.position, step.offset)
    if first is None or last is None:
        return Recovered(end=Place(0, 0), unsure_from=0, fence=None, index=index)
    unsure = _first_unsure(last, group, damages)
    end = _end(window, seed, unsure)
    # An index entry behind the cut would send readers into nothing.
    return Recovered(
        end=end,
        unsure_from=unsure.position,
        fence=first.fence if end.offset else None,
        index=_trimmed(index, end),
    )


def _first_unsure(last: Header, group: Place, damages: list[Damage]) -> Place:
    """Return the beginning of the last group, or of the damage that hides it."""
    durable = last.position - last.back
    if group.position == durable:
        return group
    hiding = [d for d in damages if d.position <= durable]
    return Place(hiding[-1].position, hiding[-1].offset) if hiding else Place(0, 0)


def _end(window: Window, seed: int, begin: Place) -> Place:
    """Check every record from `begin` on, payloads too; return where the good ones end."""
    end = begin
    for step in walk(window, begin.position, begin.offset, seed):
        if isinstance(step, Damage):
            break
        if not step.is_skip and payload(window, step) is None:
            break
        end = Place(step.next_position, step.next_offset)
    return end


def _trimmed(index: SparseIndex, end: Place) -> SparseIndex:
    trimmed = SparseIndex()
    for place in index.places():
        if place.position < end.position:
            trimmed.note(place)
    return trimmed
