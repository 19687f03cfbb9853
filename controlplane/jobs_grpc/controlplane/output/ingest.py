"""From the workers' streams into the log, a group at a time.

While one group is being written and synced, the next gathers in the inbox: the slower the
disk, the larger the groups. Nothing waits for a timer.

    lanes ──put──► inbox (bounded) ──run_once──► store.append ──► acks to the lanes
      ▲               │                                      └──► pieces to the hub
      └── no room ────┘

The bound covers what waits and what is being written. It is shared by all lanes first come,
first served, and each lane has a smaller bound of its own, so that one worker that floods
cannot fill the inbox. A lane that finds no room is not read: gRPC's flow control passes the
pressure on to the worker, which spools to its disk.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from jobs_grpc.controlplane.output.allowance import Allowance
from jobs_grpc.controlplane.output.errors import (
    OutputClosedError,
    OutputError,
    OutputStorageError,
)
from jobs_grpc.controlplane.output.lane import Lane
from jobs_grpc.controlplane.output.records import Chunk, LogKey
from jobs_grpc.controlplane.output.store import Appended, OutputStore

# How often a disk that failed is tried while no worker does it for us.
_PROBE_SECONDS: Final = 5.0

Stored: TypeAlias = Callable[[Appended], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Bounds of the ingest.

    Half of the 64 MiB that a leader may spend on output is the inbox. A group of 8 MiB
    takes some 30 ms to sync; one of 1,024 small logs some 120 ms.
    """

    inbox_bytes: int = 32 * 1024 * 1024
    inbox_chunks: int = 65_536
    lane_bytes: int = 4 * 1024 * 1024
    lane_chunks: int = 8_192
    group_bytes: int = 8 * 1024 * 1024
    group_chunks: int = 1_024


class Ingest:
    """The only writer of the store. One event loop only."""

    def __init__(
        self,
        store: OutputStore,
        *,
        on_stored: Stored,
        settings: IngestSettings | None = None,
    ) -> None:
        self._store = store
        self._on_stored = on_stored
        self._settings = settings or IngestSettings()
        self._lanes: weakref.WeakSet[Lane] = weakref.WeakSet()
        self._inbox: deque[tuple[Lane, Chunk]] = deque()
        self._allowance = Allowance(
            max_bytes=self._settings.inbox_bytes,
            max_count=self._settings.inbox_chunks,
        )
        self._arrived = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._is_closing = False
        self._failure: OSError | None = None
        # Told when the disk begins to fail, and with `None` when it is well again.
        self.on_health: Callable[[OSError | None], None] = lambda _failure: None

    @property
    def failure(self) -> OSError | None:
        """Why the last write failed; None when the disk is well. For health."""
        return self._failure

    def open_lane(self) -> Lane:
        """Return the two ends of one worker's stream.

        Raises:
            OutputClosedError: this process stops.
        """
        if self._is_closing:
            raise OutputClosedError
        lane = Lane(
            self._admit,
            max_bytes=self._settings.lane_bytes,
            max_chunks=self._settings.lane_chunks,
        )
        self._lanes.add(lane)
        return lane

    async def run(self) -> None:
        """Flush until `close`, and then what is left."""
        while not self._is_closing or self._inbox:
            await self._wait()
            await self.run_once()

    async def run_once(self) -> None:
        """Store one group and answer for it; with an empty inbox, do nothing."""
        async with self._flushing:
            group = self._gather()
            if not group:
                return
            try:
                results = await self._store.append([chunk for _, chunk in group])
            except OutputError as error:
                _fail(group, error)
                raise
            except BaseException:
                # Stored or not, nobody knows: the workers send it again.
                _fail(group, OutputClosedError())
                raise
            finally:
                self._release(group)
            self._note_health(next((r.error for r in results if r.error), None))
            self._answer(group, results)

    async def probe(self) -> None:
        """After a failure, see whether the disk is well again."""
        try:
            await self._store.probe()
        except OutputStorageError as error:
            if isinstance(error.cause, OSError):
                self._note_health(error.cause)
        else:
            self._note_health(None)

    def _note_health(self, failure: OSError | None) -> None:
        was_well, self._failure = self._failure is None, failure
        if was_well != (failure is None):
            self.on_health(failure)

    async def close(self) -> None:
        """Take no more chunks, store what was taken, end the lanes; `run` ends."""
        self._is_closing = True
        self._arrived.set()
        while self._inbox:
            await self.run_once()
        async with self._flushing:
            for lane in self._lanes:
                lane.fail(OutputClosedError())

    async def _admit(self, lane: Lane, chunk: Chunk) -> None:
        if self._is_closing:
            raise OutputClosedError
        await self._allowance.take(len(chunk.data))
        if self._is_closing:
            self._allowance.give_back(len(chunk.data))
            raise OutputClosedError
        self._inbox.append((lane, chunk))
        self._arrived.set()

    async def _wait(self) -> None:
        """Return when there is something to do."""
        while not self._inbox and not self._is_closing:
            self._arrived.clear()
            if self._failure is None:
                await self._arrived.wait()
                continue
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self._arrived.wait()
            except TimeoutError:
                await self.probe()

    def _gather(self) -> list[tuple[Lane, Chunk]]:
        group: list[tuple[Lane, Chunk]] = []
        size = 0
        while self._inbox and len(group) < self._settings.group_chunks:
            size += len(self._inbox[0][1].data)
            if group and size > self._settings.group_bytes:
                break
            group.append(self._inbox.popleft())
        return group

    def _release(self, group: Sequence[tuple[Lane, Chunk]]) -> None:
        for lane, chunk in group:
            self._allowance.give_back(len(chunk.data))
            lane.give_back(chunk)

    def _answer(
        self, group: Sequence[tuple[Lane, Chunk]], results: Sequence[Appended]
    ) -> None:
        lanes: dict[tuple[LogKey, int], set[Lane]] = {}
        for lane, chunk in group:
            lanes.setdefault((chunk.key, chunk.fence), set()).add(lane)
        failed = {r.key: r.error for r in results if r.error is not None}
        for result in results:
            for ack in result.acks:
                for lane in lanes[ack.key, ack.fence]:
                    lane.answer(ack)
            if result.pieces:
                self._on_stored(result)
        for (key, _), owners in lanes.items():
            if key in failed:
                for lane in owners:
                    lane.fail(OutputStorageError("store output", failed[key]))


def _fail(group: Sequence[tuple[Lane, Chunk]], error: OutputError) -> None:
    for lane, _ in group:
        lane.fail(error)
