"""A leader over a store in memory whose terms begin and end when the test says so."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jobs_grpc.controlplane.leader.leader import Leader
from support.clock import FakeClock
from support.gated_store import GatedStore


class Reign:
    """A leader, and the means to end its term."""

    def __init__(self) -> None:
        self.store = GatedStore()
        self.clock = FakeClock()
        self.leader = Leader(
            store=self.store, clock=self.clock, holder="h", address="a"
        )
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> Leader:
        """Lead in a new term."""
        await self.end()
        before = self.leader.term
        self._task = asyncio.create_task(self.leader.run_once())
        while self.leader.term == before or not self.leader.term:
            await asyncio.sleep(0)
            if self._task.done():
                await self._task
        return self.leader

    async def end(self) -> None:
        """End the term, as `run` does."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, ExceptionGroup):
                await self._task
            self._task = None
            self.leader._step_down()
