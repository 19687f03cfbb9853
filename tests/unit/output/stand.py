"""What the tests of the output path stand on: chunks, a clock, and disks that fail."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from jobs_grpc.controlplane.output import Chunk, Gap, LogKey, Piece, Stream
from jobs_grpc.controlplane.output.log.disk import Disk

EXECUTION = "7f3a9c0d5e"
KEY = LogKey(EXECUTION, 1)
FENCE = 41


def chunk(
    data: bytes,
    offset: int = 0,
    *,
    key: LogKey = KEY,
    fence: int = FENCE,
    stream: Stream = Stream.STDOUT,
    time_us: int = 1_700_000_000_000_000,
    dropped: range = range(0),
) -> Chunk:
    """Return a chunk of the usual attempt."""
    return Chunk(
        key=key,
        fence=fence,
        stream=stream,
        offset=offset,
        time_us=time_us,
        data=data,
        dropped=dropped,
    )


def text_of(contents: Iterable[object]) -> bytes:
    """Return the bytes of the pieces, with a `?` for each byte of a gap."""
    text = bytearray()
    for content in contents:
        if isinstance(content, Piece):
            text += content.data
        elif isinstance(content, Gap):
            text += b"?" * content.length
    return bytes(text)


class FakeClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self._now = 1_700_000_000_000_000
        self._monotonic = 100.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self._now += int(seconds * 1_000_000)


class FaultyDisk(Disk):
    """The real disk with a gate before each sync, and errors on demand."""

    def __init__(self) -> None:
        self.syncs = 0
        self.write_error: OSError | None = None
        self.sync_error: OSError | None = None
        self.directory_error: OSError | None = None
        self.read_error: OSError | None = None
        self.cut_error: OSError | None = None
        # Writes to files with this in their name fail; the others do not.
        self.only: str = ""
        self.gate = threading.Event()
        self.gate.set()
        self.at_gate = threading.Semaphore(0)
        self._names: dict[int, str] = {}

    def open_to_write(self, path: Path) -> int:
        descriptor = super().open_to_write(path)
        self._names[descriptor] = path.name
        return descriptor

    def read(self, descriptor: int, length: int, position: int) -> bytes:
        if self.read_error is not None:
            raise self.read_error
        return super().read(descriptor, length, position)

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        if self.write_error is not None and self._is_meant(descriptor):
            super().write(descriptor, data[: len(data) // 2], position)
            raise self.write_error
        super().write(descriptor, data, position)

    def cut(self, descriptor: int, length: int) -> None:
        if self.cut_error is not None and self._is_meant(descriptor):
            raise self.cut_error
        super().cut(descriptor, length)

    def sync(self, descriptor: int) -> None:
        self.at_gate.release()
        assert self.gate.wait(10)
        if self.sync_error is not None and self._is_meant(descriptor):
            raise self.sync_error
        self.syncs += 1
        super().sync(descriptor)

    def sync_directory(self, path: Path) -> None:
        if self.directory_error is not None:
            raise self.directory_error
        super().sync_directory(path)

    def _is_meant(self, descriptor: int) -> bool:
        return self.only in self._names[descriptor]


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@dataclass
class _File:
    bytes: bytearray = field(default_factory=bytearray)
    on_medium: bytearray = field(default_factory=bytearray)
    # Sectors that the next sync will write.
    dirty: set[int] = field(default_factory=set)
    # The shortest the file has been since the last sync.
    shortest: int = 0
    is_named: bool = False


class MemoryDisk(Disk):
    """A disk that forgets at a crash what was not synced, sector by sector.

    A sector that was written and not synced survives or not, each for itself, and so
    does the length of the file; a file whose directory was not synced may be gone. After
    a sync that failed, what was to be written looks clean and is not on the medium, as
    on Linux: a second sync says that all is well.
    """

    SECTOR = 16

    def __init__(self) -> None:
        self.files: dict[Path, _File] = {}
        # The n-th call from now on fails, and leaves half of its work done.
        self.fails_in: int | None = None
        self.watch_reads: list[int] | None = None
        self.punched: list[range] = []
        self._open: dict[int, Path] = {}
        self._next = 1_000

    @property
    def open_count(self) -> int:
        return len(self._open)

    def crash(self, source: random.Random) -> None:
        """Lose what may be lost. Descriptors of before are void."""
        self._open.clear()
        for path, file in list(self.files.items()):
            if not file.is_named and source.random() < 0.5:
                del self.files[path]
                continue
            torn = self._torn(file, source)
            self.files[path] = _File(
                bytearray(torn), bytearray(torn), shortest=len(torn), is_named=True
            )

    def _torn(self, file: _File, source: random.Random) -> bytes:
        kept = {sector for sector in file.dirty if source.random() < 0.5}
        settled = self._settled(file, kept)
        if source.random() < 0.5:
            return bytes(settled)
        # The change of the length was lost; that of the bytes before it need not be.
        old = file.on_medium
        torn = settled[: len(old)] + old[len(settled) :]
        return bytes(torn)

    def _settled(self, file: _File, sectors: set[int]) -> bytearray:
        """Return the medium after these sectors and the length were written."""
        medium = file.on_medium[: file.shortest].ljust(len(file.bytes), b"\0")
        for sector in sectors:
            part = slice(sector * self.SECTOR, (sector + 1) * self.SECTOR)
            medium[part] = file.bytes[part]
        return bytearray(medium[: len(file.bytes)])

    def _count(self) -> bool:
        if self.fails_in is None:
            return False
        self.fails_in -= 1
        return self.fails_in < 0

    def make_directory(self, path: Path) -> None:
        pass

    def open_to_write(self, path: Path) -> int:
        if self._count():
            raise full()
        self.files.setdefault(path, _File())
        return self._opened(path)

    def open_to_read(self, path: Path) -> int:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self._opened(path)

    def _opened(self, path: Path) -> int:
        self._next += 1
        self._open[self._next] = path
        return self._next

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    def length(self, descriptor: int) -> int:
        return len(self._file(descriptor).bytes)

    def read(self, descriptor: int, length: int, position: int) -> bytes:
        data = bytes(self._file(descriptor).bytes[position : position + length])
        if self.watch_reads is not None:
            self.watch_reads.append(len(data))
        return data

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        fails = self._count()
        data = data[: len(data) // 2] if fails else data
        file = self._file(descriptor)
        file.bytes.extend(bytes(max(0, position - len(file.bytes))))
        file.bytes[position : position + len(data)] = data
        last = position + len(data) - 1
        file.dirty.update(range(position // self.SECTOR, last // self.SECTOR + 1))
        if fails:
            raise full()

    def cut(self, descriptor: int, length: int) -> None:
        if self._count():
            raise OSError(errno.EIO, "Input/output error")
        file = self._file(descriptor)
        del file.bytes[length:]
        file.shortest = min(file.shortest, length)

    def punch(self, descriptor: int, hole: range) -> None:
        file = self._file(descriptor)
        file.bytes[hole.start : hole.stop] = bytes(len(hole))
        # The file system's own journal makes it last, or not, apart from other writes.
        file.on_medium[hole.start : hole.stop] = bytes(len(hole))
        self.punched.append(hole)

    def sync(self, descriptor: int) -> None:
        file = self._file(descriptor)
        if self._count():
            file.dirty.clear()
            raise OSError(errno.EIO, "Input/output error")
        file.on_medium = self._settled(file, file.dirty)
        file.shortest = len(file.bytes)
        file.dirty.clear()

    def sync_directory(self, path: Path) -> None:
        if self._count():
            raise OSError(errno.EIO, "Input/output error")
        for name, file in self.files.items():
            if name.parent == path:
                file.is_named = True

    def remove(self, path: Path) -> None:
        self.files.pop(path, None)

    def _file(self, descriptor: int) -> _File:
        path = self._open.get(descriptor)
        if path is None or path not in self.files:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return self.files[path]
