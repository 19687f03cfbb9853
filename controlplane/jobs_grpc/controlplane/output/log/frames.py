"""The records of a log file: how they are written, walked and checked.

A file is nothing but records, one behind the other:

    magic         4  where to look for the next record behind damage
    header crc    4  over the rest of the header, seeded with the name of the log
    payload crc   4
    length        4  of the payload
    back          4  how far before this record everything was already durable
    stream        1  and three zero bytes
    fence         8
    time          8  microseconds since the epoch
    offset        8  of the payload's first byte, over all streams
    payload          `length` bytes

Where output was dropped (over the job's limit) stands a **skip**: a header with stream 4 and
no payload. Its time is the offset at which the output goes on; its length, with `back` as
the high half, is how many bytes of file to hop over. Those are a hole in the file.

Header and payload have a checksum each, so that a file can be checked by hopping from
header to header without touching the payloads. The seed makes records of one log
meaningless in another: a job that prints a log file forges nothing.
`back` is what tells a torn tail from damage: see `recovery`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from jobs_grpc.controlplane.output.records import (
    MAX_CHUNK_BYTES,
    Content,
    Gap,
    LogKey,
    Piece,
    Stream,
)

MAGIC: Final = b"\xf5JO1"
_HEADER: Final = struct.Struct("<4sIIIIBxxxqqq")
HEADER_BYTES: Final = _HEADER.size
_REST: Final = struct.Struct("<IIIBxxxqqq")
_CRC_END: Final = 8
# The stream of a header that stands for dropped output.
SKIP: Final = 4
# Steps of the search for the next record behind damage.
_SEARCH_BYTES: Final = 64 * 1024

Pread: TypeAlias = Callable[[int, int], bytes]


class Header(NamedTuple):
    """One record's header and where it stands in the file.

    A tuple, not a dataclass: a scan makes one for every record, and this costs a third.
    """

    position: int
    payload_crc: int
    length: int
    back: int
    stream: int
    fence: int
    time_us: int
    offset: int

    @property
    def payload_at(self) -> int:
        return self.position + HEADER_BYTES

    @property
    def is_skip(self) -> bool:
        return self.stream == SKIP

    @property
    def next_position(self) -> int:
        hop = self.length | self.back << 32 if self.stream == SKIP else self.length
        return self.position + HEADER_BYTES + hop

    @property
    def next_offset(self) -> int:
        return self.time_us if self.stream == SKIP else self.offset + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A stretch of the file that is not a chain of records.

    `offset` is the first byte of output lost; `next_offset` the first one that can be
    read again, None when no record follows.
    """

    position: int
    offset: int
    next_offset: int | None


class Window:
    """A file up to `end`, read in blocks: many small records cost one system call."""

    def __init__(self, pread: Pread, *, end: int, block: int) -> None:
        self._pread = pread
        self._block = block
        self._start = 0
        self._held = memoryview(b"")
        self.end = end

    def view(self, position: int, length: int) -> memoryview:
        """Return the bytes at `position`; fewer only where the file ends."""
        length = min(length, self.end - position)
        begin = position - self._start
        if begin < 0 or begin + length > len(self._held):
            wanted = min(max(length, self._block), self.end - position)
            self._held = memoryview(self._pread(wanted, position))
            self._start, begin = position, 0
        return self._held[begin : begin + length]


def seed_of(key: LogKey) -> int:
    """Return what the header checksums of this log start from."""
    return zlib.crc32(key.file_name.encode())


def encode_header(piece: Piece, *, fence: int, back: int, seed: int) -> bytes:
    """Return the header that goes in front of `piece.data`."""
    rest = _REST.pack(
        zlib.crc32(piece.data),
        len(piece.data),
        back,
        piece.stream,
        fence,
        piece.time_us,
        piece.offset,
    )
    return MAGIC + zlib.crc32(rest, seed).to_bytes(4, "little") + rest


def encode_skip(dropped: range, *, fence: int, seed: int, hole_bytes: int = 0) -> bytes:
    """Return the header that stands for dropped output and a hole in the file behind it."""
    low, high = hole_bytes & 0xFFFF_FFFF, hole_bytes >> 32
    rest = _REST.pack(0, low, high, SKIP, fence, dropped.stop, dropped.start)
    return MAGIC + zlib.crc32(rest, seed).to_bytes(4, "little") + rest


def encode(pieces: Sequence[Content], *, fence: int, seed: int) -> Iterator[bytes]:
    """Yield headers and payloads in turn, for a group that is written as one."""
    back = 0
    for piece in pieces:
        if isinstance(piece, Gap):
            dropped = range(piece.offset, piece.end)
            yield encode_skip(dropped, fence=fence, seed=seed)
            back += HEADER_BYTES
            continue
        yield encode_header(piece, fence=fence, back=back, seed=seed)
        yield piece.data
        back += HEADER_BYTES + len(piece.data)


def space_of(piece: Content) -> int:
    """Return how many bytes of file a piece takes, or a skip."""
    return HEADER_BYTES + (0 if isinstance(piece, Gap) else len(piece.data))


def decode(view: memoryview, position: int, *, end: int, seed: int) -> Header | None:
    """Return the header in `view`, or None when no whole record stands there."""
    if len(view) < HEADER_BYTES:
        return None
    magic, header_crc, payload_crc, length, *rest = _HEADER.unpack(view)
    if magic != MAGIC or zlib.crc32(view[_CRC_END:], seed) != header_crc:
        return None
    header = Header(position, payload_crc, length, *rest)
    if header.is_skip:
        is_sound = header.next_offset > header.offset
    else:
        is_sound = 0 < length <= MAX_CHUNK_BYTES
    return header if is_sound and header.next_position <= end else None


def payload(window: Window, header: Header) -> bytes | None:
    """Return the payload, or None when its checksum does not fit."""
    data = bytes(window.view(header.payload_at, header.length))
    if len(data) != header.length or zlib.crc32(data) != header.payload_crc:
        return None
    return data


def piece_of(header: Header, data: bytes) -> Piece:
    """Return the record as followers see it."""
    return Piece(
        stream=Stream(header.stream),
        offset=header.offset,
        time_us=header.time_us,
        data=data,
    )


def walk(
    window: Window, position: int, offset: int, seed: int
) -> Iterator[Header | Damage]:
    """Hop from record to record to the window's end, checking headers only.

    Every byte of output is either in a header's range or in a damaged one.
    """
    while position < window.end:
        view = window.view(position, HEADER_BYTES)
        header = decode(view, position, end=window.end, seed=seed)
        if header is None or header.offset != offset:
            header = _search(window, position + 1, offset, seed)
            yield Damage(
                position=position,
                offset=offset,
                next_offset=None if header is None else header.offset,
            )
            if header is None:
                return
        yield header
        position, offset = header.next_position, header.next_offset


def _search(window: Window, position: int, offset: int, seed: int) -> Header | None:
    """Return the first whole record at or after `position` that may follow `offset`."""
    while position < window.end:
        block = window.view(position, _SEARCH_BYTES)
        searched = bytes(block)
        at = searched.find(MAGIC)
        while 0 <= at <= len(block) - HEADER_BYTES:
            view = block[at : at + HEADER_BYTES]
            header = decode(view, position + at, end=window.end, seed=seed)
            if header is not None and header.offset >= offset:
                return header
            at = searched.find(MAGIC, at + 1)
        # A header may straddle two blocks: look at the last bytes again.
        position += max(len(block) - HEADER_BYTES + 1, 1)
        if len(block) < HEADER_BYTES:
            return None
    return None
