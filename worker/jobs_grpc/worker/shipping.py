"""From the spools on this disk to the leader's log: in order, in bounds, resumable.

Who is authoritative
--------------------
- *What was written*: the spool. Nothing is kept in memory between two turns, so a
  gigabyte of output costs this process what is in flight and no more.
- *What is durable*: the leader. It acknowledges by offset, over all streams of an
  attempt; what lies before that offset is never sent again, and what lies behind it is
  sent again on the next stream. A leader may acknowledge more than it was sent (an
  earlier process of this worker sent it), or less than before (it lost what it had).

::

    spool ─► turn ─► chunks ─► stream          one turn reads about one chunk of one
      ▲       │                  │             attempt; attempts with news take turns
    grown   window ◄── ack ◄─────┘

What happens when
-----------------
===========================  =========================================================
the stream breaks            the next begins at the acknowledged offsets
this process restarts        it begins at 0; the first ack says how much there is
an attempt floods            it has its turns like every other, and a window of its own;
                             what its limit drops meanwhile is skipped, and said
output is acknowledged       the files it is in are removed, but for the first
the leader refuses           the rest is dropped: the attempt is not this worker's
an ack is lost               after a while without any, sending begins at the last one
the spool is damaged         the missing bytes are replaced by a remark of that length,
                             so that every later byte keeps its offset
the attempt has no name      a power cut took the note of its start: nobody could say
                             whose output it is, so it is not sent, and holds up none
===========================  =========================================================
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jobs_grpc.runtime.clock import Clock
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.keeper.spool import (
    HEAD_BYTES,
    UNSAID,
    Frame,
    Kept,
    Stream,
)
from jobs_grpc.worker.keeper.spool_reader import (
    SpoolDamagedError,
    SpoolReader,
    free_before,
)

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 256 * 1024
# In flight at most: what the leader lets one stream have, and half of it for one attempt,
# so that one that floods leaves room for the others.
WINDOW_BYTES: Final = 4 * 1024 * 1024
ATTEMPT_WINDOW_BYTES: Final = 2 * 1024 * 1024
# Looking for files that can go costs a listing of their directory.
FREE_BYTES: Final = 1 << 20
# A leader acknowledges within tens of milliseconds, or breaks the stream.
STALL_SECONDS: Final = 10.0


class Chunk(NamedTuple):
    """A piece of one attempt's output, as it goes out."""

    fence: int
    execution_id: str
    attempt: int
    stream: Stream
    offset: int
    time_us: int
    data: bytes
    # Offsets that are not to be had: beyond the limit, or gone from this disk.
    dropped: range = range(0)


class _Output:
    """The output of one attempt that is not settled."""

    __slots__ = (
        "acknowledged", "attempt", "execution_id", "fence", "freed", "is_queued",
        "is_refused", "is_unsure", "is_waiting", "moved_at", "reader", "sent", "size",
        "spool", "total",
    )  # fmt: skip

    def __init__(self, attempt: Attempt, spool: Path) -> None:
        self.fence = attempt.fence
        self.execution_id = attempt.ticket.execution_id
        self.attempt = attempt.ticket.attempt
        self.spool = spool
        self.reader: SpoolReader | None = None
        # Bytes known to be in the spool; all of them once `total` is known.
        self.size = 0
        self.total: int | None = None
        self.sent = 0
        self.acknowledged = 0
        self.is_refused = False
        self.is_queued = False
        # Nothing was acknowledged to this process: the leader may have much already.
        self.is_unsure = True
        # A hole lies ahead, and whether the leader has what was in it is not known yet.
        self.is_waiting = False
        # Up to here files were removed from this disk.
        self.freed = 0
        # When something was last sent into an empty window, or acknowledged.
        self.moved_at = 0.0

    @property
    def has_news(self) -> bool:
        return self.sent < self.size and not self.is_refused

    @property
    def in_flight(self) -> int:
        return max(0, self.sent - self.acknowledged)

    @property
    def has_room(self) -> bool:
        """Whether more may be in flight."""
        return self.in_flight < ATTEMPT_WINDOW_BYTES and not self.is_waiting

    @property
    def is_settled(self) -> bool:
        if self.total is None:
            return False
        return self.is_refused or self.acknowledged >= self.total

    def rewind(self) -> None:
        """Send again from the acknowledged offset."""
        self.sent = self.acknowledged
        self.close()

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.reader = None


class Shipping:
    """Everything that is to be shipped, and how far it has come."""

    def __init__(self, clock: Clock) -> None:
        # Told when the leader has all output of an attempt, or wants none of it.
        self.on_settled: Callable[[int], None] = _nobody
        self._clock = clock
        self._outputs: dict[int, _Output] = {}
        self._queue: deque[_Output] = deque()
        # Had no room in their own window; an acknowledgement brings them back.
        self._in_flight = 0
        self._stirred = asyncio.Event()

    # What the runners say -----------------------------------------------------------

    def __contains__(self, fence: int) -> bool:
        """Whether output of the attempt is still to be shipped."""
        return fence in self._outputs

    def track(self, attempt: Attempt, spool: Path) -> None:
        """Ship what is, and what will be, in this spool. Harmless to repeat."""
        if not attempt.ticket.execution_id:
            # The leader would have to refuse the whole stream, again and again.
            log.warning("the output of attempt %d has no name", attempt.fence)
        elif attempt.fence not in self._outputs:
            self._outputs[attempt.fence] = _Output(attempt, spool)

    def grown(self, fence: int, size: int) -> None:
        """The spool holds this many bytes of output now."""
        output = self._outputs.get(fence)
        if output is not None and size > output.size:
            output.size = size
            self._enqueue(output)

    def end(self, fence: int, total: int) -> None:
        """The attempt has ended with this many bytes of output."""
        output = self._outputs.get(fence)
        if output is not None:
            output.total = output.size = total
            self._enqueue(output)
            self._settle(output)

    # What the connection says -------------------------------------------------------

    def connected(self) -> None:
        """A new stream: begin at what is acknowledged."""
        self._in_flight = 0
        self._queue.clear()
        for output in self._outputs.values():
            output.rewind()
            output.is_queued = False
            output.is_waiting = False
            self._enqueue(output)

    def acknowledged(self, fence: int, offset: int, *, is_refused: bool) -> None:
        """The leader has everything before `offset`, or refuses the attempt."""
        output = self._outputs.get(fence)
        if output is None:
            return
        before = output.in_flight
        output.moved_at = self._clock.monotonic()
        output.is_unsure = output.is_waiting = False
        if is_refused:
            output.is_refused = True
            output.acknowledged = output.sent
        elif offset < output.acknowledged:
            log.warning(
                "the leader lost output of execution %s: sending again from byte %d",
                output.execution_id,
                offset,
            )
            output.acknowledged = offset
            output.rewind()
        else:
            output.acknowledged = offset
            if offset > output.sent:
                output.rewind()
        self._in_flight -= before - output.in_flight
        self._free(output)
        self._settle(output)
        self._enqueue(output)
        self._stirred.set()

    def remind(self) -> None:
        """Begin again where nothing was acknowledged for too long."""
        overdue = self._clock.monotonic() - STALL_SECONDS
        for output in self._outputs.values():
            if output.in_flight and output.moved_at < overdue:
                self._in_flight -= output.in_flight
                output.rewind()
                self._enqueue(output)

    async def next_turn(self) -> list[Chunk]:
        """Wait until something may be sent; return what one attempt sends now."""
        while not (self._queue and self._in_flight < WINDOW_BYTES):
            self._stirred.clear()
            await self._stirred.wait()
        output = self._queue.popleft()
        output.is_queued = False
        chunks = self._read(output)
        self._enqueue(output)
        return chunks

    def close(self) -> None:
        """Let go of all files."""
        for output in self._outputs.values():
            output.close()

    # ---------------------------------------------------------------------------------

    def _enqueue(self, output: _Output) -> None:
        if output.has_news and output.has_room and not output.is_queued:
            output.is_queued = True
            self._queue.append(output)
            self._stirred.set()

    def _free(self, output: _Output) -> None:
        """Give disk back, some files at a time: the leader has what is in them."""
        if output.acknowledged - output.freed >= FREE_BYTES:
            output.freed = output.acknowledged
            free_before(output.spool, output.acknowledged)

    def _settle(self, output: _Output) -> None:
        if output.is_settled:
            output.close()
            self._in_flight -= output.in_flight
            del self._outputs[output.fence]
            self.on_settled(output.fence)

    def _read(self, output: _Output) -> list[Chunk]:
        if not output.has_news or output.fence not in self._outputs:
            return []
        if output.reader is None:
            output.reader = SpoolReader(output.spool, output.sent)
        reader = output.reader
        frames = self._frames(output, reader)
        if reader.holes and output.is_unsure:
            # An earlier process may have removed what was acknowledged to it: the answer
            # to what comes before the hole says so.
            first = reader.holes[0].start
            known = [frame for frame in frames if frame.offset < first]
            if known or output.in_flight:
                output.is_waiting, frames = True, known
                output.close()
        chunks = [
            Chunk(
                output.fence,
                output.execution_id,
                output.attempt,
                frame.stream,
                frame.offset,
                frame.time_us,
                frame.payload,
                _dropped(frame, reader.kept, reader.holes),
            )
            for frame in _merged(frames, reader.kept)
        ]
        if chunks:
            if not output.in_flight:
                output.moved_at = self._clock.monotonic()
            before = output.in_flight
            output.sent = chunks[-1].offset + len(chunks[-1].data)
            reader.holes = [one for one in reader.holes if one.stop > output.sent]
            self._in_flight += output.in_flight - before
        elif not output.is_waiting:
            # Announced, but not there: wait for the next word.
            output.size = output.sent if output.total is None else output.size
        return chunks

    def _frames(self, output: _Output, reader: SpoolReader) -> list[Frame]:
        """Return the next frames; holes are filled, but for those of removed files."""
        frames = _next_frames(reader, output.size)
        expected = output.sent
        whole: list[Frame] = []
        for frame in frames:
            hole = next((one for one in reader.holes if one.stop == frame.offset), None)
            damaged_to = frame.offset if hole is None else hole.start
            whole += self._remarks(expected, damaged_to)
            whole.append(frame)
            expected = frame.end
        if not frames and output.total is not None:
            whole += self._remarks(expected, output.total)
        return whole

    def _remarks(self, start: int, end: int) -> Iterable[Frame]:
        """Fill the hole from `start` to `end`."""
        words = b"[%d bytes of output were damaged on the worker's disk]\n" % (
            end - start
        )
        if end - start == len(UNSAID):
            words = UNSAID
        now = self._clock.now()
        for offset in range(start, end, CHUNK_BYTES):
            length = min(CHUNK_BYTES, end - offset)
            yield Frame(Stream.SYSTEM, now, offset, words[:length].ljust(length, b"."))
            words = b""


def _next_frames(reader: SpoolReader, size: int) -> list[Frame]:
    """Return about a chunk of whole frames; damage between them leaves a hole."""
    frames: list[Frame] = []
    length = 0
    for frame in _wanted(_undamaged(reader), reader, size):
        frames.append(frame)
        length += len(frame.payload)
        if length >= CHUNK_BYTES:
            break
    return frames


def _undamaged(reader: SpoolReader) -> Iterator[Frame]:
    while True:
        try:
            yield from reader
        except SpoolDamagedError as error:
            log.error("%s", error)
            if reader.skip_damage():
                continue
        return


def _merged(frames: Iterable[Frame], kept: Kept | None) -> Iterable[Frame]:
    """Join neighbors of one stream, up to the size of a chunk; the first time counts."""
    parts: list[bytes] = []
    first: Frame | None = None
    size = 0
    most = CHUNK_BYTES if kept is None else min(CHUNK_BYTES, 4 * kept.grain)
    head = None if kept is None else kept.head
    for frame in frames:
        if first is not None and (
            frame.stream is not first.stream
            or size + len(frame.payload) > most
            # The leader drops whole pieces: none may reach across the end of the head.
            or frame.offset in {head, HEAD_BYTES}
            or frame.offset != first.offset + size
        ):
            yield first._replace(payload=b"".join(parts))
            first, parts, size = None, [], 0
        first = first or frame
        parts.append(frame.payload)
        size += len(frame.payload)
    if first is not None:
        yield first._replace(payload=b"".join(parts))


def _wanted(frames: Iterable[Frame], reader: SpoolReader, size: int) -> Iterator[Frame]:
    """Leave out what the limit drops of `size` bytes, though its file is still there."""
    skipped: int | None = None
    for frame in frames:
        kept = reader.kept
        begin = 0 if kept is None or size <= kept.limit else kept.begin_of_tail(size)
        if kept is None or frame.offset < kept.head or frame.offset >= begin:
            if skipped is not None:
                _widen(reader.holes, range(skipped, frame.offset))
                skipped = None
            yield frame
            continue
        skipped = frame.offset if skipped is None else skipped
        if frame.end > begin:
            _widen(reader.holes, range(skipped, begin))
            skipped = None
            yield frame._replace(
                offset=begin, payload=frame.payload[begin - frame.offset :]
            )
    if skipped is not None:
        _widen(reader.holes, range(skipped, reader.offset))


def _widen(holes: list[range], more: range) -> None:
    """Add a hole; those that it touches become a part of it."""
    while holes and holes[-1].stop >= more.start:
        last = holes.pop()
        more = range(min(last.start, more.start), max(last.stop, more.stop))
    holes.append(more)


def _dropped(frame: Frame, kept: Kept | None, holes: Iterable[range]) -> range:
    """Return what the leader need not have, or cannot get, once it has this frame."""
    hole = next((one for one in holes if one.stop == frame.offset), range(0))
    if kept is None or frame.end <= kept.limit:
        return hole
    return range(kept.head, max(hole.stop, kept.begin_of_tail(frame.end)))


def spool_size(spool: Path) -> int:
    """Return how many bytes of output a spool holds, up to the first damage."""
    reader = SpoolReader(spool, from_offset=1 << 62)
    try:
        for _ in reader:
            pass
    except SpoolDamagedError:
        pass
    finally:
        reader.close()
    return reader.offset


def _nobody(fence: int) -> None:
    pass
