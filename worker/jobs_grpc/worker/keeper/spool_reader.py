"""Reading a spool (see `spool`): in order, while it is written, around what is gone."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jobs_grpc.worker.keeper.spool import (
    FORMAT,
    HEADER,
    HEADER_BYTES,
    HEADER_CRC,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    Frame,
    Kept,
    Stream,
)

_READ_BYTES: Final = 1 << 18


class SpoolDamagedError(Exception):
    """A record fails its checksum; everything before `offset` was good."""

    def __init__(self, path: Path, offset: int) -> None:
        super().__init__(f"{path} is damaged after byte {offset} of the output")
        self.path = path
        self.offset = offset


class SpoolReader:
    """Follows a spool from an offset; each call reads what has become complete.

    An offset inside a frame yields the rest of that frame. A file that does not exist
    yet is an empty one. Where a segment was removed, `holes` says which offsets are gone.
    """

    def __init__(self, path: Path, from_offset: int = 0) -> None:
        self._path = path
        self._file = path
        self._descriptor = -1
        self._wanted = from_offset
        # What of the output is kept, known once there are segments.
        self.kept: Kept | None = None
        # Ranges of offsets that are not on this disk (any more), in order.
        self.holes: list[range] = []
        self._position = 0  # in the file, of the first byte of the buffer
        self._buffer = b""
        self._start = 0  # of the next frame, in the buffer
        self.offset = 0  # payload bytes passed so far

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame that is complete now.

        Raises:
            SpoolDamagedError: at a record that fails its checksum; see `skip_damage`.
        """
        while True:
            head = self._peek(HEADER_BYTES)
            frame = None if head is None else self._next(head)
            if frame is None:
                if not self._move_on():
                    return
            elif frame.payload:
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
        if self._move_on(is_damaged=True):
            return True
        self._position, self._start, self._buffer = position + start, 0, b""
        return False

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _move_on(self, *, is_damaged: bool = False) -> bool:
        """Go to the next file if there is one; False while this is the last."""
        here = _offset_of(self._file)
        later = [each for each in segments(self._path) if each.offset > here]
        if not later:
            return False
        # A file that has a successor is complete: look once more before leaving it.
        if not is_damaged and self._has_more():
            return True
        # Straight to where reading begins, when that lies ahead.
        wanted = max(self.offset, self._wanted)
        passed = [each for each in later if each.offset <= wanted]
        chosen = passed[-1] if passed else later[0]
        try:
            descriptor = os.open(chosen.path, os.O_RDONLY | os.O_CLOEXEC)
        except (
            FileNotFoundError
        ):  # removed since it was listed: so is what is before it
            return self._move_on(is_damaged=is_damaged)
        self.close()
        self._descriptor, self._file = descriptor, chosen.path
        self._position, self._start, self._buffer = 0, 0, b""
        self.kept = chosen.kept
        hole = range(max(self.offset, self._wanted), chosen.offset)
        if hole and not is_damaged:
            self.holes.append(hole)
        self.offset = chosen.offset
        return True

    def _has_more(self) -> bool:
        head = self._peek(HEADER_BYTES)
        if head is None:
            return False
        fields = _unpack_header(head)
        return fields is None or self._peek(HEADER_BYTES + fields[1]) is not None

    def _next(self, head: bytes) -> Frame | None:
        """Return the next frame (empty when not wanted), None when it is unfinished."""
        fields = _unpack_header(head)
        if fields is None:
            if self._is_blank_to_the_end():
                return None
            raise SpoolDamagedError(self._file, self.offset)
        stream, length, time_us, offset, crc = fields
        if offset != self.offset:
            raise SpoolDamagedError(self._file, self.offset)
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
            raise SpoolDamagedError(self._file, self.offset)
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
                self._descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
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


class Segment(NamedTuple):
    """One file of a spool behind its head."""

    offset: int
    path: Path
    kept: Kept


def segments(spool: Path) -> list[Segment]:
    """Return the segments of a spool that are on disk, in order."""
    prefix = f"{spool.name}-"
    found: list[Segment] = []
    try:
        names = os.listdir(spool.parent)  # noqa: PTH208 - names are enough
    except FileNotFoundError:
        return found
    for name in names:
        limit, dot, offset = name.removeprefix(prefix).partition(".")
        if name.startswith(prefix) and dot and limit.isdigit() and offset.isdigit():
            kept = Kept.of(int(limit))
            found.append(Segment(int(offset), spool.parent / name, kept))
    return sorted(found)


def free_before(spool: Path, offset: int) -> None:
    """Remove the segments that end at or before `offset`; head and newest one stay."""
    found = segments(spool)
    for segment, following in itertools.pairwise(found):
        if following.offset <= offset:
            segment.path.unlink(missing_ok=True)


def _offset_of(file: Path) -> int:
    """Return the first offset of a segment by its name; -1 for the head."""
    _, dot, offset = file.name.rpartition(".")
    return int(offset) if dot else -1


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
