"""Frames of an append-only file: length, CRC, payload.

A file may end in the middle of a frame (the host died during the write) or in zeros (its
space was allocated beforehand). Reading stops there; what was written before is whole.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_HEAD: Final = struct.Struct("<II")
# A longer "length" is damage, not a record.
MAX_PAYLOAD: Final = 16 * 1024 * 1024


def frame(payload: bytes) -> bytes:
    """Return the payload as it stands in the file."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def end_of_frames(data: bytes) -> int:
    """Return where the last whole frame ends."""
    return sum(_HEAD.size + len(payload) for payload in unframe(data))


def unframe(data: bytes) -> Iterator[bytes]:
    """Yield the whole payloads from the start of `data` to the first damage."""
    position = 0
    while position + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        payload = data[position : position + length]
        if not 0 < length <= MAX_PAYLOAD or len(payload) < length:
            return
        if zlib.crc32(payload) != crc:
            return
        yield payload
        position += length
