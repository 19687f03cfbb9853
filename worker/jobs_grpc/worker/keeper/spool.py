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

The writer never calls fsync: the durable copy of output is the server's. It survives a
crash of both processes, but not of the host. The file comes to be with its first byte.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
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
_READ_BYTES: Final = 1 << 18


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


class SpoolDamagedError(Exception):
    """A record fails its checksum; everything before `offset` was good."""

    def __init__(self, path: Path, offset: int) -> None:
        super().__init__(f"{path} is damaged after byte {offset} of the output")
        self.path = path
        self.offset = offset


def pack_header(
    stream: Stream, time_us: int, offset: int, payload: bytes | memoryview
) -> bytes:
    """Return the header of a frame."""
    head = HEADER.pack(
        MAGIC, FORMAT, stream, len(payload), time_us, offset, zlib.crc32(payload)
    )
    return head + HEADER_CRC.pack(zlib.crc32(head))


class SpoolWriter:
    """Appends the output of one attempt, up to a limit.

    What does not fit (the limit, a full disk) is dropped and counted; the job never
    notices. A system frame says so: for the limit once, at the end; for the disk as soon
    as it takes bytes again.
    """

    __slots__ = (
        "_complaint", "_descriptor", "_directory", "_limit", "_lost", "_over",
        "_room", "_written", "dropped", "size",
    )  # fmt: skip

    def __init__(self, directory: Path | str, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = self._room = limit_bytes
        self._descriptor = -1
        self._written = 0  # bytes of the file
        self._over = 0  # dropped for the limit
        self._lost = 0  # dropped for the disk since the last good frame
        self._complaint = ""
        self.size = 0  # payload bytes of all streams
        self.dropped = 0

    def write(self, stream: Stream, payload: memoryview, time_us: int) -> None:
        """Append what the limit and the disk allow; never raises for either."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            for start in range(0, len(payload), MAX_PAYLOAD_BYTES):
                self.write(stream, payload[start : start + MAX_PAYLOAD_BYTES], time_us)
            return
        excess = len(payload) - self._room
        if excess > 0:
            self._over += excess
            self.dropped += excess
            payload = payload[: self._room]
        if not payload:
            return
        if self._lost and not self._confess(time_us):
            self._lose(len(payload))
        elif self._append(stream, time_us, payload):
            self._room -= len(payload)
        else:
            self._lose(len(payload))

    def finish(self, time_us: int) -> None:
        """Say what was dropped, and close the file."""
        if self._lost:
            self._confess(time_us)
        if self._over:
            text = f"output limit of {self._limit} bytes reached; {self._over} bytes dropped"
            self._append(Stream.SYSTEM, time_us, text.encode())
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lose(self, count: int) -> None:
        self._lost += count
        self.dropped += count

    def _confess(self, time_us: int) -> bool:
        text = f"{self._lost} bytes of output lost: {self._complaint}"
        if not self._append(Stream.SYSTEM, time_us, text.encode()):
            return False
        self._lost = 0
        return True

    def _append(
        self, stream: Stream, time_us: int, payload: bytes | memoryview
    ) -> bool:
        try:
            if self._descriptor < 0:
                self._open()
            header = pack_header(stream, time_us, self.size, payload)
            self._write_whole(header, payload)
        except OSError as error:
            self._complaint = error.strerror or str(error)
            self._roll_back()
            return False
        self._written += HEADER_BYTES + len(payload)
        self.size += len(payload)
        return True

    def _write_whole(self, header: bytes, payload: bytes | memoryview) -> None:
        count = os.pwritev(self._descriptor, (header, payload), self._written)
        total = len(header) + len(payload)
        if count < total:  # a nearly full disk: try the rest to learn the reason
            rest = memoryview(header + bytes(payload))
            while count < total:
                count += os.pwrite(
                    self._descriptor, rest[count:], self._written + count
                )

    def _open(self) -> None:
        directory = Path(self._directory)
        directory.mkdir(mode=0o700, exist_ok=True)
        self._descriptor = os.open(
            directory / "spool", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
        )

    def _roll_back(self) -> None:
        if self._descriptor >= 0:
            try:
                os.ftruncate(self._descriptor, self._written)
            except OSError:
                return  # the next frame overwrites it; a reader takes it for unfinished


class SpoolReader:
    """Follows a spool from an offset; each call reads what has become complete.

    An offset inside a frame yields the rest of that frame. A file that does not exist
    yet is an empty one.
    """

    def __init__(self, path: Path, from_offset: int = 0) -> None:
        self._path = path
        self._descriptor = -1
        self._wanted = from_offset
        self._position = 0  # in the file, of the first byte of the buffer
        self._buffer = b""
        self._start = 0  # of the next frame, in the buffer
        self.offset = 0  # payload bytes passed so far

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame that is complete now.

        Raises:
            SpoolDamagedError: at a record that fails its checksum; see `skip_damage`.
        """
        while (head := self._peek(HEADER_BYTES)) is not None:
            frame = self._next(head)
            if frame is None:
                return
            if frame.payload:
                yield frame

    def read(self, max_bytes: int = _READ_BYTES) -> list[Frame]:
        """Return complete frames of about `max_bytes` of payload, at least one if any."""
        frames: list[Frame] = []
        count = 0
        for frame in self:
            frames.append(frame)
            count += len(frame.payload)
            if count >= max_bytes:
                break
        return frames

    def skip_damage(self) -> bool:
        """Move to the next good header; False (and no move) when there is none yet.

        The next frame's offset tells how much output the damage cost.
        """
        position, start = self._position, self._start
        self._start += 1
        while (head := self._peek(HEADER_BYTES)) is not None:
            fields = _unpack_header(head)
            if fields is not None:
                self.offset = fields[3]
                return True
            found = self._buffer.find(MAGIC, self._start + 1)
            # The last byte may be the first half of a magic.
            self._start = found if found >= 0 else len(self._buffer) - 1
        self._position, self._start, self._buffer = position + start, 0, b""
        return False

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _next(self, head: bytes) -> Frame | None:
        """Return the next frame (empty when not wanted), None when it is unfinished."""
        fields = _unpack_header(head)
        if fields is None:
            if self._is_blank_to_the_end():
                return None
            raise SpoolDamagedError(self._path, self.offset)
        stream, length, time_us, offset, crc = fields
        if offset != self.offset:
            raise SpoolDamagedError(self._path, self.offset)
        end = offset + length
        if end <= self._wanted and self._file_size() >= (
            self._position + self._start + HEADER_BYTES + length
        ):
            self._advance(HEADER_BYTES + length, end)
            return Frame(stream, time_us, offset, b"")
        whole = self._peek(HEADER_BYTES + length)
        if whole is None:
            return None
        payload = whole[HEADER_BYTES:]
        if zlib.crc32(payload) != crc:
            raise SpoolDamagedError(self._path, self.offset)
        self._advance(HEADER_BYTES + length, end)
        skipped = max(0, self._wanted - offset)
        return Frame(stream, time_us, offset + skipped, payload[skipped:])

    def _advance(self, count: int, offset: int) -> None:
        self._start += count
        self.offset = offset

    def _peek(self, count: int) -> bytes | None:
        """Return the next `count` bytes of the file, None when it has not so many."""
        if len(self._buffer) - self._start < count:
            self._position += self._start
            self._start = 0
            self._buffer = self._load(max(count, _READ_BYTES))
            if len(self._buffer) < count:
                return None
        return self._buffer[self._start : self._start + count]

    def _load(self, count: int) -> bytes:
        if self._descriptor < 0:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        return os.pread(self._descriptor, count, self._position)

    def _file_size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _is_blank_to_the_end(self) -> bool:
        """Whether only zeros follow: what a crash of the host leaves of late writes."""
        position = self._position + self._start
        while data := os.pread(self._descriptor, _READ_BYTES, position):
            if data.strip(b"\0"):
                return False
            position += len(data)
        return True


def _unpack_header(head: bytes) -> tuple[Stream, int, int, int, int] | None:
    """Return (stream, length, time, offset, CRC), None when it is no good header."""
    (expected,) = HEADER_CRC.unpack_from(head, HEADER.size)
    if zlib.crc32(head[: HEADER.size]) != expected:
        return None
    magic, version, stream, length, time_us, offset, crc = HEADER.unpack_from(head)
    is_known = magic == MAGIC and version == FORMAT and stream in (1, 2, 3)
    if not is_known or length > MAX_PAYLOAD_BYTES:
        return None
    return Stream(stream), length, time_us, offset, crc
