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
    Header,
    Window,
    encode,
    encode_skip,
    seed_of,
    space_of,
    walk,
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
# Space is given back in steps of an eighth of what is kept of the end, within these.
_LEAST_STEP: Final = 4 * 1024
_MOST_STEP: Final = 1024 * 1024


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
        # Everything before is dropped, but for the log's beginning.
        self._dropped_to = 0
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
            while True:
                index = self._index
                begin = index.before(from_offset)
                steps = contents(
                    window, begin, wanted, size=tail.offset, seed=self._seed
                )
                found = list(steps)
                if index is self._index:
                    return found
                # Something was dropped meanwhile, perhaps under our eyes: once more.
                window = Window(pread, end=tail.position, block=_READ_BLOCK)
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
            position += space_of(piece)
        self._tail = plan.end

    def drop(self, plan: Plan, descriptors: Descriptors) -> None:
        """Give back the space of what the plan says may go; after `commit`.

        Whole records only, and only when it is worth it. First a skip is put in their
        place, then a hole is punched behind it: a crash in between costs nothing but space.

        Raises:
            OSError: nothing is lost but the space.
        """
        step = max(_LEAST_STEP, min(_MOST_STEP, (self.size - plan.dropped.stop) // 8))
        if plan.dropped.stop - max(self._dropped_to, plan.dropped.start) < step:
            return
        with descriptors.borrow(self.path) as descriptor:
            pread = partial(self._disk.read, descriptor)
            window = Window(pread, end=self._tail.position, block=_SCAN_BLOCK)
            first, after = self._records_of(window, plan.dropped)
            if first is None or after is None or after.position <= first.next_position:
                return
            hole = range(first.position + HEADER_BYTES, after.position)
            skip = encode_skip(
                range(first.offset, after.offset),
                fence=plan.fence,
                seed=self._seed,
                hole_bytes=len(hole),
            )
            self._disk.write(descriptor, skip, first.position)
            self._index = self._index.without(range(first.position, hole.stop))
            self._dropped_to = after.offset
            self._disk.punch(descriptor, hole)

    def _records_of(
        self, window: Window, dropped: range
    ) -> tuple[Header | None, Header | None]:
        """Return the first record within `dropped`, and the one that follows the last."""
        first = after = None
        begin = self._index.before(dropped.start)
        for step in walk(window, begin.position, begin.offset, self._seed):
            if first is None:
                if isinstance(step, Header) and step.offset >= dropped.start:
                    first = step
                    if step.next_offset > dropped.stop:
                        break
                    jump = self._index.before(dropped.stop)
                    if jump.position > step.next_position:
                        return first, self._last_within(window, jump, dropped)
            elif isinstance(step, Header) and step.offset <= dropped.stop:
                after = step
            else:
                break
        return first, after

    def _last_within(
        self, window: Window, begin: Place, dropped: range
    ) -> Header | None:
        last = None
        for step in walk(window, begin.position, begin.offset, self._seed):
            if step.offset > dropped.stop:
                break
            if isinstance(step, Header):
                last = step
        return last

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
