"""Where output is kept: one log file for each attempt, `<root>/<xx>/<id>-<attempt>.log`.

All writing goes through one thread, the flusher, group after group; within a group the
files are written and synced side by side by a small pool, since a sync mostly waits. One
thread in front means that no two groups can touch a file at once, and that a caller who
is cancelled loses the answer and nothing else. Readers have a pool of their own.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from jobs_grpc.controlplane.output.errors import OutputClosedError, OutputStorageError
from jobs_grpc.controlplane.output.log.attempt import AttemptLog
from jobs_grpc.controlplane.output.log.descriptors import Descriptors
from jobs_grpc.controlplane.output.log.disk import Disk
from jobs_grpc.controlplane.output.log.plan import Plan
from jobs_grpc.controlplane.output.records import (
    MAX_CHUNK_BYTES,
    Ack,
    Chunk,
    Content,
    LogKey,
    Piece,
)
from jobs_grpc.controlplane.output.shelf import Shelf

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Room for less than the largest chunk would be full again with the next one.
PROBE_BYTES: Final = 2 * MAX_CHUNK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Bounds of the store. Measured for small logs on two cores and ext4: one thread syncs
    4,000 new files a second, four sync 8,500, eight 10,500.
    """

    flush_threads: int = 4
    read_threads: int = 4
    open_files: int = 256
    known_logs: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of one log's share of a group.

    With an `error`, nothing of the share is stored and nobody may be answered; else `acks`
    are true, and `pieces` are what is new, ending at `size`.
    """

    key: LogKey
    size: int
    acks: tuple[Ack, ...] = ()
    pieces: tuple[Piece, ...] = ()
    error: OSError | None = None


@dataclass(slots=True)
class _Share:
    """One log's share of a group, on its way."""

    log: AttemptLog
    chunks: list[Chunk] = field(default_factory=list)
    plan: Plan | None = None
    is_written: bool = False
    error: OSError | None = None


class OutputStore:
    """The logs of all attempts."""

    def __init__(
        self,
        root: Path,
        *,
        settings: StoreSettings | None = None,
        disk: Disk | None = None,
    ) -> None:
        settings = settings or StoreSettings()
        self._root = root
        self._disk = disk or Disk()
        self._shelf = Shelf(root, self._disk, limit=settings.known_logs)
        self._descriptors = Descriptors(self._disk, limit=settings.open_files)
        self._threads = settings.flush_threads
        self._flusher = ThreadPoolExecutor(1, "output-flush")
        self._pool = ThreadPoolExecutor(settings.flush_threads, "output-sync")
        self._readers = ThreadPoolExecutor(settings.read_threads, "output-read")
        self._is_closed = False

    async def append(self, chunks: Sequence[Chunk]) -> list[Appended]:
        """Store a group; return when all that is answered is durable, one entry a log.

        Chunks of one log are taken in their order in `chunks`.
        """
        return await self._in(self._flusher, lambda: self._flush(chunks))

    async def size(self, execution_id: str, attempt: int) -> int:
        """Return how many bytes of output are stored.

        Raises:
            OutputStorageError: the log cannot be read.
        """
        with self._shelf.using(LogKey(execution_id, attempt)) as log:
            if not log.is_loaded:
                await self._reading(log.load)
            return log.size

    async def read(
        self, execution_id: str, attempt: int, from_offset: int, limit: int
    ) -> list[Content]:
        """Return what is stored from an offset on, about `limit` bytes of it.

        The list has no hole: gaps stand where bytes cannot be shown. Empty means that
        there is nothing yet.

        Raises:
            OutputStorageError: the log cannot be read.
        """
        with self._shelf.using(LogKey(execution_id, attempt)) as log:
            return await self._reading(lambda: log.read(from_offset, limit))

    async def delete(self, execution_id: str) -> int:
        """Remove every log of an execution; return how many there were.

        Raises:
            OutputStorageError: some may be left; call again.
        """
        LogKey(execution_id, 0)
        try:
            return await self._in(self._flusher, lambda: self._delete(execution_id))
        except OSError as error:
            raise OutputStorageError("delete output", error) from error

    async def probe(self) -> None:
        """Write and sync a little, and remove it: is there room again?

        Raises:
            OutputStorageError: no.
        """
        try:
            await self._in(self._flusher, self._probe)
        except OSError as error:
            raise OutputStorageError("write output", error) from error

    async def close(self) -> None:
        """Finish what is in flight and close every file."""
        self._is_closed = True
        await asyncio.to_thread(self._shut)

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._is_closed:
            raise OutputClosedError
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    async def _reading(self, work: Callable[[], T]) -> T:
        try:
            return await self._in(self._readers, work)
        except OSError as error:
            raise OutputStorageError("read output", error) from error

    # From here on: the flusher's thread.

    def _flush(self, chunks: Sequence[Chunk]) -> list[Appended]:
        with ExitStack() as pins:
            shares: dict[LogKey, _Share] = {}
            for chunk in chunks:
                share = shares.get(chunk.key)
                if share is None:
                    log = pins.enter_context(self._shelf.using(chunk.key))
                    share = shares[chunk.key] = _Share(log)
                share.chunks.append(chunk)
            self._write_all(list(shares.values()))
            self._sync_names(list(shares.values()))
            return [self._conclude(share) for share in shares.values()]

    def _write_all(self, shares: list[_Share]) -> None:
        if len(shares) == 1:
            self._write_some(shares)
            return
        parts = [shares[at :: self._threads] for at in range(self._threads)]
        list(self._pool.map(self._write_some, parts))

    def _write_some(self, shares: list[_Share]) -> None:
        for share in shares:
            log = share.log
            try:
                log.load()
                share.plan = log.plan(share.chunks)
                if log.needs_write(share.plan):
                    log.write(share.plan, self._descriptors)
                    share.is_written = True
            except OSError as error:
                share.error = error

    def _sync_names(self, shares: list[_Share]) -> None:
        """Make new files findable after a crash: one sync for each directory."""
        unnamed: dict[Path, list[_Share]] = {}
        for share in shares:
            if share.is_written and not share.log.is_named:
                unnamed.setdefault(share.log.path.parent, []).append(share)
        for directory, new in unnamed.items():
            try:
                self._disk.sync_directory(directory)
            except OSError as error:
                for share in new:
                    share.error = error

    def _conclude(self, share: _Share) -> Appended:
        log, plan = share.log, share.plan
        if share.error is not None or plan is None:
            if share.is_written:
                log.abandon(self._descriptors)
            return Appended(key=log.key, size=log.size, error=share.error)
        if share.is_written:
            log.commit(plan)
        if plan.dropped:
            try:
                log.drop(plan, self._descriptors)
            except OSError as error:
                # It is only space; the next group tries again.
                logger.warning("cannot give space of %s back: %s", log.path, error)
        # A gap is for the log to tell: a follower that meets one reads on there.
        pieces = tuple(piece for piece in plan.pieces if isinstance(piece, Piece))
        return Appended(key=log.key, size=log.size, acks=plan.acks, pieces=pieces)

    def _delete(self, execution_id: str) -> int:
        name = re.compile(rf"{re.escape(execution_id)}-[0-9]+\.log")
        directory = self._shelf.path_of(LogKey(execution_id, 0)).parent
        try:
            paths = [p for p in directory.iterdir() if name.fullmatch(p.name)]
        except FileNotFoundError:
            return 0
        self._shelf.remove(execution_id)
        for path in paths:
            self._descriptors.discard(path)
            self._disk.remove(path)
        if paths:
            self._disk.sync_directory(directory)
        return len(paths)

    def _probe(self) -> None:
        path = self._root / ".probe"
        descriptor = self._disk.open_to_write(path)
        try:
            self._disk.write(descriptor, bytes(PROBE_BYTES), 0)
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
            self._disk.remove(path)

    def _shut(self) -> None:
        for executor in (self._flusher, self._pool, self._readers):
            executor.shutdown()
        self._descriptors.close()
