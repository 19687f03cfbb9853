"""The spool: the output of one attempt on the worker's disk, as framed records.

One writer (the keeper) appends, any number of readers follow. A frame is a header of 32
bytes and a payload; header and payload have a CRC each, so that a reader can tell a frame
that is still being written (it stops before it) from one that was damaged (it says so).

=======  ======  =================================================================
bytes    type    field (little endian)
=======  ======  =================================================================
0-1      bytes   magic ``JS``
2        u8      format, 1
3        u8      stream: 1 standard output, 2 standard error, 3 the keeper's own words
4-7      u32     length of the payload
8-15     u64     when it was read, microseconds since the epoch; never goes back
16-23    u64     offset: payload bytes of all streams before this frame
24-27    u32     CRC-32 of the payload
28-31    u32     CRC-32 of bytes 0-27
=======  ======  =================================================================

The files of one spool::

    spool                    the head: the first MiB (of a small limit, its half)
    spool-<limit>.<offset>   segments of what follows, named for their first byte

Of output beyond the limit the head and the newest bytes are kept, so whole segments in
between are removed: by the writer when they are not among the newest any more, and by who
has shipped them (`free_before`). So a spool takes its limit and one segment of disk at
most. Offsets count what was dropped, too: a segment says by its name where it goes on.

The writer never calls fsync: the durable copy of output is the server's. It survives a
crash of both processes, but not of the host. The file comes to be with its first byte.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

MAGIC: Final = b"JS"
FORMAT: Final = 1
HEADER: Final = struct.Struct("<2sBBIQQI")
HEADER_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = HEADER.size + HEADER_CRC.size
# The keeper reads at most this much at once (the size of a pipe).
MAX_PAYLOAD_BYTES: Final = 1 << 18
# What is kept of the beginning of output that is too long.
HEAD_BYTES: Final = 1 << 20
# Room for what the keeper has to say about dropped output.
WORDS_BYTES: Final = 128
# What there was no room to say at the end. The spool ends with a hole of this length, and
# who ships it puts the words there.
UNSAID: Final = b"[output lost before this: the worker's disk did not take it]\n"
# After a full disk output is kept again when there is this much room, of a small disk its
# 64th part: else each block that somebody frees takes a remark and is full again.
_ROOM_AGAIN: Final = 1 << 20
_ROOM_SHARE: Final = 64
_LEAST_GRAIN: Final = 4096
# Files of the rest: what is dropped, or freed, goes by whole files.
_LEAST_SEGMENT: Final = 64 << 10
_MOST_SEGMENT: Final = 4 << 20


class Stream(IntEnum):
    """Where bytes come from."""

    STDOUT = 1
    STDERR = 2
    SYSTEM = 3


class Frame(NamedTuple):
    """A record of the spool."""

    stream: Stream
    time_us: int
    offset: int
    payload: bytes

    @property
    def end(self) -> int:
        """The offset of the byte after this frame."""
        return self.offset + len(self.payload)


def pack_header(
    stream: Stream, time_us: int, offset: int, payload: bytes | memoryview
) -> bytes:
    """Return the header of a frame."""
    head = HEADER.pack(
        MAGIC, FORMAT, stream, len(payload), time_us, offset, zlib.crc32(payload)
    )
    return head + HEADER_CRC.pack(zlib.crc32(head))


class Kept(NamedTuple):
    """Which part of an attempt's output is kept: the first `head` and the last `tail` bytes."""

    head: int
    tail: int

    @classmethod
    def of(cls, limit: int) -> Kept:
        """Return how a limit is divided: the first MiB, at most its half, and the rest."""
        head = min(HEAD_BYTES, limit // 2)
        return cls(head, limit - head)

    @property
    def limit(self) -> int:
        """Both together."""
        return self.head + self.tail

    @property
    def grain(self) -> int:
        """The size of pieces in which output is dropped: small beside the tail."""
        return min(MAX_PAYLOAD_BYTES, max(_LEAST_GRAIN, self.tail // 8))

    def begin_of_tail(self, size: int) -> int:
        """Return the first offset of the tail of `size` bytes; the head's end if all is kept.

        The keeper's own words at the end take nothing away from the job's.
        """
        return max(self.head, size - self.tail - WORDS_BYTES)


class SpoolWriter:
    """Appends the output of one attempt; keeps its first and its last part.

    What does not fit (the limit, a full disk) is dropped and counted; the job never
    notices. A system frame says so, a line of its own: for the limit once, at the end; for
    the disk once it has room again. Where it never has, the output ends with a hole in
    which `UNSAID` fits.
    """

    __slots__ = (
        "_complaint", "_descriptor", "_directory", "_end", "_kept", "_lost",
        "_lost_in_all", "_said", "_segment", "_segment_bytes", "_segments", "_written", "size",
    )  # fmt: skip

    def __init__(self, directory: Path | str, limit_bytes: int) -> None:
        self._directory = directory
        self._kept = Kept.of(limit_bytes)
        self._segment_bytes = min(_MOST_SEGMENT, max(_LEAST_SEGMENT, limit_bytes // 8))
        self._descriptor = -1
        # First offset of the file that is written, and that of the next frame in it:
        # what was dropped meanwhile lies between files, never inside of one.
        self._segment = self._end = 0
        self._segments: deque[int] = deque()  # those that are on disk, without the head
        self._written = 0  # bytes of the file
        self._lost = 0  # dropped for the disk since the last good frame
        self._lost_in_all = 0
        self._said = 0  # the keeper's own words
        self._complaint = ""
        self.size = 0  # payload bytes of all streams, the dropped ones of the limit too

    @property
    def dropped(self) -> int:
        """Bytes that were dropped, for the limit and for the disk."""
        return self._over + self._lost_in_all

    @property
    def _over(self) -> int:
        return max(0, self.size - self._said - self._kept.limit)

    def write(self, stream: Stream, payload: memoryview, time_us: int) -> None:
        """Append what the disk allows, and drop what the limit does not; never raises."""
        kept, grain = self._kept, self._kept.grain
        while payload:
            if self.size < kept.head:
                count = min(len(payload), kept.head - self.size, MAX_PAYLOAD_BYTES)
            else:
                excess = len(payload) - kept.tail
                if excess > 0:
                    # More than the whole tail at once: its beginning is dropped already.
                    self.size += excess
                    payload = payload[excess:]
                count = min(len(payload), grain)
            self._write_one(stream, payload[:count], time_us)
            payload = payload[count:]

    def finish(self, time_us: int) -> None:
        """Say what was dropped, and close the file."""
        is_said = not self._lost or self._confess(time_us)
        over = self._over
        if over:
            text = (
                f"[output limit of {self._kept.limit} bytes reached; {over} bytes dropped"
                f" after the first {self._kept.head}]\n"
            )
            is_said &= self._append(Stream.SYSTEM, time_us, text.encode())
        if not is_said:
            self.size += len(UNSAID)
            self._said += len(UNSAID)
        self._close()

    def _write_one(self, stream: Stream, payload: memoryview, time_us: int) -> None:
        is_kept = not self._lost or (self._has_room_again() and self._confess(time_us))
        if not (is_kept and self._append(stream, time_us, payload)):
            self._lost += len(payload)
            self._lost_in_all += len(payload)

    def _has_room_again(self) -> bool:
        """Whether the largest frame, and a good deal more, fit on the disk.

        Not this frame: small ones would find room between large ones that do not.
        """
        try:
            disk = os.statvfs(Path(self._directory).parent)
        except OSError:
            return True  # writing says more
        total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        return free >= MAX_PAYLOAD_BYTES + min(_ROOM_AGAIN, total // _ROOM_SHARE)

    def _confess(self, time_us: int) -> bool:
        text = f"[{self._lost} bytes of output lost: {self._complaint}]\n"
        if not self._append(Stream.SYSTEM, time_us, text.encode()):
            return False
        self._lost = 0
        return True

    def _append(
        self, stream: Stream, time_us: int, payload: bytes | memoryview
    ) -> bool:
        try:
            if self._is_segment_over():
                self._begin_segment()
            elif self._descriptor < 0:
                self._open("spool")
            header = pack_header(stream, time_us, self.size, payload)
            self._write_whole(header, payload)
        except OSError as error:
            self._complaint = error.strerror or str(error)
            self._roll_back()
            self._drop_segments()
            return False
        self._written += HEADER_BYTES + len(payload)
        self.size += len(payload)
        self._end = self.size
        if stream is Stream.SYSTEM:
            self._said += len(payload)
        self._drop_segments()
        return True

    def _is_segment_over(self) -> bool:
        """Whether the next frame begins a file of its own."""
        if self.size < self._kept.head or self.size == 0:
            return False
        if not self._segments:
            return True
        return (
            self.size - self._segment >= self._segment_bytes or self._end != self.size
        )

    def _write_whole(self, header: bytes, payload: bytes | memoryview) -> None:
        count = os.pwritev(self._descriptor, (header, payload), self._written)
        total = len(header) + len(payload)
        if count < total:  # a nearly full disk: try the rest to learn the reason
            rest = memoryview(header + bytes(payload))
            while count < total:
                count += os.pwrite(
                    self._descriptor, rest[count:], self._written + count
                )

    def _begin_segment(self) -> None:
        previous = self._descriptor
        self._open(f"spool-{self._kept.limit}.{self.size}")
        if previous >= 0:
            os.close(previous)
        self._segment = self._end = self.size
        self._written = 0
        self._segments.append(self.size)

    def _open(self, name: str) -> None:
        directory = Path(self._directory)
        directory.mkdir(mode=0o700, exist_ok=True)
        self._descriptor = os.open(
            directory / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
        )

    def _drop_segments(self) -> None:
        """Remove the segments of which nothing belongs to the newest bytes any more."""
        segments = self._segments
        if not self._over or len(segments) < 2:
            return
        begin = self._kept.begin_of_tail(self.size)
        while len(segments) > 1 and segments[1] <= begin:
            name = f"spool-{self._kept.limit}.{segments.popleft()}"
            # Whoever has shipped it may have removed it before.
            Path(self._directory, name).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _roll_back(self) -> None:
        if self._descriptor >= 0:
            try:
                os.ftruncate(self._descriptor, self._written)
            except OSError:
                return  # the next frame overwrites it; a reader takes it for unfinished
