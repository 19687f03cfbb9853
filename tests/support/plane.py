"""A whole control plane in this process: real store, real output, real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

from jobs_grpc.controlplane.core.state.effects import Fact
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.output import Output
from jobs_grpc.controlplane.rpc.following import Following
from jobs_grpc.controlplane.rpc.server import Parts, Server
from jobs_grpc.controlplane.storage.sqlite import SqliteStore
from jobs_grpc.runtime.clock import SystemClock
from support.calls import Calls
from support.until import until


class Plane:
    """One server over a data directory; leave the context to stop it."""

    def __init__(self, data: Path, *, leads: bool = True) -> None:
        self.store = SqliteStore(data)
        self.following = Following(self.store)
        self.output = Output(data / "output", self.following.state_of)
        self.following.attach(self.output)
        clock = SystemClock()
        self.leader = Leader(store=self.store, clock=clock, holder="h", address="a")
        self.facts: list[Fact] = []
        self.leader.subscribe(self._notice)
        self._leads = leads
        self._server = Server(
            Parts(
                leader=self.leader,
                store=self.store,
                output=self.output,
                following=self.following,
                clock=clock,
            )
        )
        self._stack = AsyncExitStack()
        self.address = ""

    def _notice(self, facts: Sequence[Fact]) -> None:
        self.facts.extend(facts)
        self.following.notice(facts)

    async def __aenter__(self) -> Self:
        stack = self._stack
        stack.push_async_callback(self.store.close)
        await self.store.open()
        stack.push_async_callback(self.output.close)
        port = await self._server.start("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self._start(self.output.run())
        if self._leads:
            self._start(self.leader.run())
            await until(lambda: bool(self.leader.term))
        stack.push_async_callback(self._stop)
        self.calls = Calls(self.address)
        stack.push_async_callback(self.calls.close)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _stop(self) -> None:
        self.leader.outboxes.send_all_away("the control plane stops", 0.5)
        await self._server.stop(0.1)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

        self._stack.push_async_callback(end)
