"""A store whose commits wait at a gate, and fail when they are told to."""

from __future__ import annotations

import asyncio

from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.storage.memory import MemoryStore


class GatedStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        # What the next commits fail with; each is used once.
        self.failures: list[Exception] = []
        self.commits: list[Changes] = []
        # Released once for each commit that has come to the gate.
        self.at_gate = asyncio.Semaphore(0)

    async def commit(self, term: int, changes: Changes) -> None:
        self.at_gate.release()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        await super().commit(term, changes)
        self.commits.append(changes)
