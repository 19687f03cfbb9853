"""The calls that make bytes durable, in one place.

The log never calls the operating system itself, so that tests can hand in a disk that is
full, fails, or loses at a crash whatever was not synced.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

# Output may hold secrets that redaction did not know: for the owner only.
_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
# Python has no name for it: FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE.
_PUNCH_HOLE: Final = 0x01 | 0x02
_CANNOT_PUNCH: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV})
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Disk:
    """The local file system."""

    def make_directory(self, path: Path) -> None:
        """Create `path` durably; it may exist."""
        try:
            path.mkdir(mode=_DIRECTORY_MODE)
        except FileExistsError:
            return
        except FileNotFoundError:
            self.make_directory(path.parent)
            path.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        self.sync_directory(path.parent)

    def open_to_write(self, path: Path) -> int:
        """Open for writing, creating the file and its directory if need be.

        The caller syncs the directory before it tells anybody about a new file.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, flags, _FILE_MODE)
        except FileNotFoundError:
            self.make_directory(path.parent)
            return os.open(path, flags, _FILE_MODE)

    def open_to_read(self, path: Path) -> int:
        """Open for reading.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def length(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def read(self, descriptor: int, length: int, position: int) -> bytes:
        """Return up to `length` bytes, fewer only at the end of the file."""
        data = os.pread(descriptor, length, position)
        while len(data) < length:
            more = os.pread(descriptor, length - len(data), position + len(data))
            if not more:
                break
            data += more
        return data

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        """Write all of `data`, or raise with any part of it written."""
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, position)
            if written == 0:
                raise OSError(errno.EIO, "the file system took no bytes")
            view = view[written:]
            position += written

    def cut(self, descriptor: int, length: int) -> None:
        """Drop everything from `length` on."""
        os.ftruncate(descriptor, length)

    def punch(self, descriptor: int, hole: range) -> None:
        """Give a stretch of the file back to the file system; it reads as zeros.

        A file system that cannot do it keeps the space, and that is no error.
        """
        offset, length = ctypes.c_longlong(hole.start), ctypes.c_longlong(len(hole))
        if _LIBC.fallocate(descriptor, _PUNCH_HOLE, offset, length) != 0:
            code = ctypes.get_errno()
            if code not in _CANNOT_PUNCH:
                raise OSError(code, os.strerror(code))

    def sync(self, descriptor: int) -> None:
        """Return when the file's bytes and length are on the medium."""
        os.fdatasync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are on the medium."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove a file; it may be gone already."""
        path.unlink(missing_ok=True)
