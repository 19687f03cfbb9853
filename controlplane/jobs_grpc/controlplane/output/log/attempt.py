"""One attempt's log: the file, and what is known about it in memory.

The flushing thread is the only one that writes: `write` and then `commit`, group after
group. Any thread may `load` and `read`. The two meet in one attribute, the **tail**: a
reader sees the file up to the tail and no further, and the tail moves only after the sync.

After a failed write or sync the memory is right and the file is not: its pages may look
clean without being on the medium. So the file is cut back to the tail, the data is written
again when it comes again, and what such a file holds is never taken as the truth as long
as this process remembers better.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from jobs_grpc.controlplane.output.log.descriptors import Descriptors
from jobs_grpc.controlplane.output.log.disk import Disk
from jobs_grpc.controlplane.output.log.frames import (
    HEADER_BYTES,
    Window,
    encode,
    seed_of,
)
from jobs_grpc.controlplane.output.log.plan import Plan, plan_group
from jobs_grpc.controlplane.output.log.reading import contents, gap
from jobs_grpc.controlplane.output.log.recovery import Place, SparseIndex, recover
from jobs_grpc.controlplane.output.records import Chunk, Content, GapReason, LogKey

# A scan hops over payloads: a page at a time reads little of a log with long records.
_SCAN_BLOCK: Final = 4 * 1024
_READ_BLOCK: Final = 256 * 1024
# Joining small records to one write of this size keeps both system calls and copies few.
_WRITE_BYTES: Final = 1024 * 1024


class AttemptLog:
    """The log of one attempt. Nothing touches the disk before it must."""

    def __init__(self, key: LogKey, path: Path, disk: Disk) -> None:
        self.key = key
        self.path = path
        self._disk = disk
        self._seed = seed_of(key)
        self._loading = threading.Lock()
        self._loaded = False
        self._tail = Place(0, 0)
        self._index = SparseIndex()
        self._fence: int | None = None
        # The file ends where the tail says, and all of it is on the medium.
        self._settled = False
        # The file may end with what was never committed, and look whole.
        self._cut_owed = False
        self._named = False
        # Where the records of the last group begin that an earlier process wrote.
        self._unsure_from: int | None = None

    @property
    def size(self) -> int:
        """How many bytes of output are stored; 0 before `load`."""
        return self._tail.offset

    @property
    def may_be_forgotten(self) -> bool:
        """Whether loading the file again would tell the same as this object."""
        return not self._cut_owed

    @property
    def is_loaded(self) -> bool:
        """Whether `size` is known."""
        return self._loaded

    @property
    def is_named(self) -> bool:
        """Whether the file's name is known to be durable."""
        return self._named

    def load(self) -> None:
        """Find the end of what is stored, once.

        Raises:
            OSError: the file cannot be read; the next call tries again.
        """
        with self._loading:
            if self._loaded:
                return
            try:
                descriptor = self._disk.open_to_read(self.path)
            except FileNotFoundError:
                self._loaded = True
                return
            try:
                length = self._disk.length(descriptor)
                pread = partial(self._disk.read, descriptor)
                window = Window(pread, end=length, block=_SCAN_BLOCK)
                found = recover(window, self._seed)
            finally:
                self._disk.close(descriptor)
            self._index, self._fence = found.index, found.fence
            self._tail, self._unsure_from = found.end, found.unsure_from
            self._loaded = True

    def read(self, from_offset: int, limit: int) -> list[Content]:
        """Return what is stored from `from_offset` on, about `limit` bytes of it.

        Empty means: nothing there yet. What is returned has no hole; gaps stand where
        bytes cannot be shown.

        Raises:
            OSError: the file cannot be read.
        """
        self.load()
        tail = self._tail
        if from_offset >= tail.offset or limit <= 0:
            return []
        try:
            descriptor = self._disk.open_to_read(self.path)
        except FileNotFoundError:
            return [gap(from_offset, tail.offset, GapReason.DELETED)]
        try:
            pread = partial(self._disk.read, descriptor)
            window = Window(pread, end=tail.position, block=_READ_BLOCK)
            wanted = range(from_offset, from_offset + limit)
            begin = self._index.before(from_offset)
            steps = contents(window, begin, wanted, size=tail.offset, seed=self._seed)
            return list(steps)
        finally:
            self._disk.close(descriptor)

    # From here on: the flushing thread only.

    def plan(self, chunks: Sequence[Chunk]) -> Plan:
        """Decide what of `chunks` continues the log."""
        return plan_group(self.key, chunks, fence=self._fence, tail=self._tail)

    def needs_write(self, plan: Plan) -> bool:
        """Whether the answers of the plan are not true yet."""
        return bool(plan.pieces) or (self.size > 0 and not self._settled)

    def write(self, plan: Plan, descriptors: Descriptors) -> None:
        """Put the planned pieces on the medium; `commit` makes them visible.

        Raises:
            OSError: nothing of the group is stored.
        """
        try:
            with descriptors.borrow(self.path) as descriptor:
                self._settle(descriptor)
                if plan.pieces:
                    self._put(descriptor, plan)
        except OSError:
            self.abandon(descriptors)
            raise

    def commit(self, plan: Plan) -> None:
        """Let readers see what was written; the file's name is durable as well."""
        self._settled = self._named = True
        self._cut_owed = False
        if not plan.pieces:
            return
        self._fence = plan.fence
        position = self._tail.position
        for piece in plan.pieces:
            self._index.note(Place(position, piece.offset))
            position += HEADER_BYTES + len(piece.data)
        self._tail = plan.end

    def abandon(self, descriptors: Descriptors) -> None:
        """Cut the file back to the tail, now if possible, else before the next write."""
        try:
            with descriptors.borrow(self.path) as descriptor:
                self._disk.cut(descriptor, self._tail.position)
        except OSError:
            return
        self._cut_owed = False

    def _settle(self, descriptor: int) -> None:
        """Make sure of what was there before.

        It may be the torn tail of a crash, or whole records of a process that ended before
        they were synced. Both must be dealt with before a record is written that calls
        everything before itself durable. The records are written again before the sync:
        if an earlier sync failed, their pages look clean and no sync writes them.
        """
        if self._settled:
            return
        end = self._tail.position
        length = self._disk.length(descriptor)
        if length > end:
            self._disk.cut(descriptor, end)
        self._cut_owed = False
        if self._unsure_from is not None:
            begin = self._unsure_from
            data = self._disk.read(descriptor, end - begin, begin)
            self._disk.write(descriptor, data, begin)
        if length:
            self._disk.sync(descriptor)
        self._unsure_from = None

    def _put(self, descriptor: int, plan: Plan) -> None:
        # Whatever happens from here to `commit`, the next write begins with a cut.
        self._settled, self._cut_owed = False, True
        position = self._tail.position
        frames = encode(plan.pieces, fence=plan.fence, seed=self._seed)
        for data in _joined(frames):
            self._disk.write(descriptor, data, position)
            position += len(data)
        self._disk.sync(descriptor)


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the parts joined to writes of about `_WRITE_BYTES`."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _WRITE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
