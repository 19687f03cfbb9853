"""The output path, a worker that pushes, and executions that end when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from jobs_grpc.controlplane.output import (
    Ack,
    Appended,
    AttemptEnd,
    Chunk,
    End,
    Follower,
    FollowEvent,
    HubSettings,
    IngestSettings,
    Lane,
    LogKey,
    Output,
    StoreSettings,
)
from unit.output.stand import KEY, FakeClock, FaultyDisk, chunk


class Rig:
    """`async with` it; `restart` is a new process on the same directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock()
        self.disk = FaultyDisk()
        self.ends: dict[LogKey, AttemptEnd] = {}
        self.asked = 0
        self.hub_settings = HubSettings()
        self.ingest_settings = IngestSettings()
        self.store_settings = StoreSettings()
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disk.gate.set()
        await self.output.close()
        await self._tasks.__aexit__(kind, error, trace)

    def _start(self) -> None:
        self.output = Output(
            self.root,
            self._state_of,
            disk=self.disk,
            clock=self.clock,
            store_settings=self.store_settings,
            ingest_settings=self.ingest_settings,
            hub_settings=self.hub_settings,
        )
        self.running = self._tasks.create_task(self.output.run())

    async def restart(self) -> None:
        """End the output path, as a leader does that steps down, and start a new one."""
        await self.output.close()
        await self.running
        self._start()

    async def _state_of(self, execution_id: str, attempt: int) -> AttemptEnd | None:
        self.asked += 1
        return self.ends.get(LogKey(execution_id, attempt))

    def end(self, end: AttemptEnd, *, key: LogKey = KEY, told: bool = True) -> None:
        """Let the attempt end; `told`: the leader says so to the followers."""
        self.ends[key] = end
        if told:
            self.output.hub.finish(
                key.execution_id,
                key.attempt,
                output_bytes=end.output_bytes,
                final=end.final,
                ended_at=end.ended_at,
            )

    def follow(
        self, from_offset: int = 0, *, key: LogKey = KEY, follow: bool = True
    ) -> Follower:
        return self.output.hub.follow(
            key.execution_id, key.attempt, from_offset=from_offset, follow=follow
        )

    async def append(self, *chunks: Chunk) -> list[Appended]:
        """Store past the ingest, and tell the followers."""
        results = await self.output.store.append(chunks)
        for result in results:
            self.output.hub.publish(result)
        return results

    async def write(self, data: bytes, offset: int = 0, *, key: LogKey = KEY) -> None:
        """Store some bytes of the usual attempt."""
        [result] = await self.append(chunk(data, offset, key=key))
        assert result.size == offset + len(data)

    async def push(self, *chunks: Chunk) -> list[Ack]:
        """Send chunks as a worker does, on a stream of their own; return the last acks."""
        lane = self.output.ingest.open_lane()
        for one in chunks:
            await lane.put(one)
        lane.close()
        return await all_acks(lane)


async def all_acks(lane: Lane) -> list[Ack]:
    """Return the last answer for each attempt of a lane that was closed."""
    last: dict[tuple[LogKey, int], Ack] = {}
    while news := await lane.acks():
        for ack in news:
            last[ack.key, ack.fence] = ack
    return list(last.values())


async def settle() -> None:
    """Let every task that can run, run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def collect(follower: Follower) -> tuple[list[FollowEvent], End]:
    """Return what a follower gets up to its end, and the end."""
    events = [event async for event in follower]
    end = events.pop()
    assert isinstance(end, End)
    return events, end


def cut_into(data: bytes, size: int) -> Iterable[Chunk]:
    """Yield the data as chunks of the usual attempt."""
    for offset in range(0, len(data), size):
        yield chunk(data[offset : offset + size], offset)
