"""The followers of all logs: who watches what, who hears what, when it is over.

Facts reach a follower on three ways, and each of them alone would do:

- `publish`, by the ingest, right after a group is durable;
- `finish`, by the leader, when an attempt or its execution has ended;
- `state_of` and the store's size, asked when a follower begins and every few seconds
  after that. This is the net under the other two: a lost nudge costs time, never a hang.

The hub remembers nothing about logs that nobody follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeAlias

from jobs_grpc.controlplane.output.errors import (
    FollowersFullError,
    OutputArgumentError,
    OutputClosedError,
)
from jobs_grpc.controlplane.output.follower import Follower
from jobs_grpc.controlplane.output.records import (
    AttemptEnd,
    Content,
    Gap,
    GapReason,
    LogKey,
    Stream,
)
from jobs_grpc.controlplane.output.store import Appended
from jobs_grpc.controlplane.output.watch import Watch
from jobs_grpc.runtime.clock import Clock, SystemClock

# Asked with execution id and attempt. None: it goes on. An execution whose row is gone is
# answered by an `AttemptEnd` that is final, or its followers wait for ever.
StateOf: TypeAlias = Callable[[str, int], Awaitable[AttemptEnd | None]]


class LogReader(Protocol):
    """The reading half of the store."""

    async def size(self, execution_id: str, attempt: int) -> int: ...

    async def read(
        self, execution_id: str, attempt: int, from_offset: int, limit: int
    ) -> list[Content]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """Bounds of the followers.

    A follower that stops reading also holds about 4 MiB inside gRPC (measured), hence the
    cap: 256 of them are 1 GiB at worst.
    """

    max_followers: int = 256
    backlog_bytes: int = 256 * 1024
    read_bytes: int = 256 * 1024
    grace: timedelta = timedelta(seconds=10)
    sweep_every: timedelta = timedelta(seconds=1)
    brief_every: timedelta = timedelta(seconds=5)


@dataclass(slots=True)
class _Audience:
    watch: Watch
    followers: list[Follower] = field(default_factory=list)


class Hub:
    """Fans stored output out. One event loop only."""

    def __init__(
        self,
        log: LogReader,
        state_of: StateOf,
        *,
        settings: HubSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._log = log
        self._state_of = state_of
        self._settings = settings or HubSettings()
        self._clock = clock or SystemClock()
        self._audiences: dict[LogKey, _Audience] = {}
        self._count = 0
        self._is_closed = False
        self._briefed_at = self._clock.monotonic()

    def __len__(self) -> int:
        return self._count

    def follow(
        self,
        execution_id: str,
        attempt: int,
        *,
        from_offset: int = 0,
        streams: Collection[Stream] = (),
        follow: bool = True,
    ) -> Follower:
        """Return a follower of one attempt's output; no streams means all of them.

        Without `follow` it ends at the end of what is stored now.

        Raises:
            FollowersFullError: there are too many already.
            OutputClosedError: this process stops.
        """
        key = LogKey(execution_id, attempt)
        if from_offset < 0:
            raise OutputArgumentError(f"{from_offset} is not an offset")
        if self._is_closed:
            raise OutputClosedError
        if self._count >= self._settings.max_followers:
            raise FollowersFullError(self._settings.max_followers)
        audience = self._audiences.get(key)
        if audience is None:
            grace = self._settings.grace.total_seconds()
            watch = Watch(key=key, clock=self._clock, grace_seconds=grace)
            audience = self._audiences[key] = _Audience(watch)
        follower = Follower(
            self,
            audience.watch,
            from_offset=from_offset,
            streams=streams,
            follow=follow,
            backlog_bytes=self._settings.backlog_bytes,
            on_close=self._leave,
        )
        audience.followers.append(follower)
        self._count += 1
        return follower

    def publish(self, stored: Appended) -> None:
        """Hand out what has just become durable."""
        audience = self._audiences.get(stored.key)
        if audience is None:
            return
        audience.watch.grow(stored.size)
        for follower in audience.followers:
            follower.offer(stored.pieces)

    def finish(
        self,
        execution_id: str,
        attempt: int,
        *,
        output_bytes: int | None,
        final: bool,
        ended_at: int | None = None,
    ) -> None:
        """Tell the followers what has become of the attempt, after the commit that says so."""
        audience = self._audiences.get(LogKey(execution_id, attempt))
        if audience is None:
            return
        audience.watch.learn(
            AttemptEnd(output_bytes=output_bytes, final=final, ended_at=ended_at)
        )
        for follower in audience.followers:
            follower.nudge()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(self._settings.sweep_every.total_seconds())
            self.run_once()

    def run_once(self) -> int:
        """Wake the followers that a clock must wake; return how many."""
        now = self._clock.monotonic()
        briefing = now - self._briefed_at >= self._settings.brief_every.total_seconds()
        if briefing:
            self._briefed_at = now
        woken = 0
        for audience in self._audiences.values():
            if briefing or audience.watch.is_over:
                for follower in audience.followers:
                    follower.nudge(briefing=briefing)
                woken += len(audience.followers)
        return woken

    def close(self) -> None:
        """Cut every follower off; they go on elsewhere by offset."""
        self._is_closed = True
        for audience in self._audiences.values():
            for follower in audience.followers:
                follower.cut_off()

    # From here on: for the followers.

    async def brief(self, watch: Watch) -> None:
        """Bring the watch up to date with the store and the execution's row."""
        key = watch.key
        end = await self._state_of(key.execution_id, key.attempt)
        watch.grow(await self._log.size(key.execution_id, key.attempt))
        if end is not None:
            watch.learn(end)

    async def read(self, watch: Watch, from_offset: int) -> list[Content]:
        """Return a slice of the log that was told to have at least `watch.size`."""
        key, size = watch.key, watch.size
        limit = self._settings.read_bytes
        read = await self._log.read(key.execution_id, key.attempt, from_offset, limit)
        if read or from_offset >= size:
            return read
        # It was there: only a deletion makes a log shorter.
        length = size - from_offset
        return [Gap(offset=from_offset, length=length, reason=GapReason.DELETED)]

    def _leave(self, follower: Follower) -> None:
        audience = self._audiences[follower.watch.key]
        audience.followers.remove(follower)
        self._count -= 1
        if not audience.followers:
            del self._audiences[follower.watch.key]
