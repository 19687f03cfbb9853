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
an attempt floods            it has its turns like every other, and a window of its own
the leader refuses           the rest is dropped: the attempt is not this worker's
an ack is lost               after a while without any, sending begins at the last one
the spool is damaged         the missing bytes are replaced by a remark of that length,
                             so that every later byte keeps its offset
===========================  =========================================================
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from jobs_grpc.runtime.clock import Clock
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.keeper.spool import (
    Frame,
    SpoolDamagedError,
    SpoolReader,
    Stream,
)

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 256 * 1024
# In flight at most: what the leader lets one stream have, and half of it for one attempt,
# so that one that floods leaves room for the others.
WINDOW_BYTES: Final = 4 * 1024 * 1024
ATTEMPT_WINDOW_BYTES: Final = 2 * 1024 * 1024
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


class _Output:
    """The output of one attempt that is not settled."""

    __slots__ = (
        "acknowledged", "attempt", "execution_id", "fence", "is_queued", "is_refused",
        "moved_at", "reader", "sent", "size", "spool", "total",
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
        # When something was last sent into an empty window, or acknowledged.
        self.moved_at = 0.0

    @property
    def has_news(self) -> bool:
        return self.sent < self.size and not self.is_refused

    @property
    def in_flight(self) -> int:
        return max(0, self.sent - self.acknowledged)

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
        if attempt.fence not in self._outputs:
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
            self._enqueue(output)

    def acknowledged(self, fence: int, offset: int, *, is_refused: bool) -> None:
        """The leader has everything before `offset`, or refuses the attempt."""
        output = self._outputs.get(fence)
        if output is None:
            return
        before = output.in_flight
        output.moved_at = self._clock.monotonic()
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
        has_room = output.in_flight < ATTEMPT_WINDOW_BYTES
        if output.has_news and has_room and not output.is_queued:
            output.is_queued = True
            self._queue.append(output)
            self._stirred.set()

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
        frames = self._frames(output, output.reader)
        chunks = [
            Chunk(
                output.fence,
                output.execution_id,
                output.attempt,
                frame.stream,
                frame.offset,
                frame.time_us,
                frame.payload,
            )
            for frame in _merged(frames)
        ]
        if chunks:
            if not output.in_flight:
                output.moved_at = self._clock.monotonic()
            before = output.in_flight
            output.sent = chunks[-1].offset + len(chunks[-1].data)
            self._in_flight += output.in_flight - before
        else:
            # Announced, but not there: wait for the next word.
            output.size = output.sent if output.total is None else output.size
        return chunks

    def _frames(self, output: _Output, reader: SpoolReader) -> list[Frame]:
        """Return the next frames, without holes."""
        frames = _undamaged(reader)
        expected = output.sent
        whole: list[Frame] = []
        for frame in frames:
            whole += self._remarks(expected, frame.offset)
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
        now = self._clock.now()
        for offset in range(start, end, CHUNK_BYTES):
            length = min(CHUNK_BYTES, end - offset)
            yield Frame(Stream.SYSTEM, now, offset, words[:length].ljust(length, b"."))
            words = b""


def _undamaged(reader: SpoolReader) -> list[Frame]:
    """Return about a chunk of whole frames; damage between them leaves a hole."""
    frames: list[Frame] = []
    size = 0
    while True:
        try:
            for frame in reader:
                frames.append(frame)
                size += len(frame.payload)
                if size >= CHUNK_BYTES:
                    break
        except SpoolDamagedError as error:
            log.error("%s", error)
            if reader.skip_damage():
                continue
        return frames


def _merged(frames: Iterable[Frame]) -> Iterable[Frame]:
    """Join neighbors of one stream, up to the size of a chunk; the first time counts."""
    parts: list[bytes] = []
    first: Frame | None = None
    size = 0
    for frame in frames:
        if first is not None and (
            frame.stream is not first.stream or size + len(frame.payload) > CHUNK_BYTES
        ):
            yield first._replace(payload=b"".join(parts))
            first, parts, size = None, [], 0
        first = first or frame
        parts.append(frame.payload)
        size += len(frame.payload)
    if first is not None:
        yield first._replace(payload=b"".join(parts))


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
