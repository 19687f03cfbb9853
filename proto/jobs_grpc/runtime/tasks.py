"""Every task has an owner.

`Supervisor` is a task group for the side tasks of one component: it keeps them alive
(asyncio holds only weak references), names them, and turns the failure of any of them
into the failure of the component, so that nothing dies silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class Supervisor:
    """An `asyncio.TaskGroup` that ends by cancelling what is left of its tasks.

    A task group waits for its tasks; a component that ends wants its loops to end with it.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()
        await self._group.__aexit__(kind, error, trace)

    def start(
        self, work: Coroutine[Any, Any, object], *, name: str
    ) -> asyncio.Task[Any]:
        """Run `work` until it ends or the component does."""
        try:
            task = self._group.create_task(work, name=name)
        except RuntimeError:
            # The component is ending: what it would have begun is never begun.
            work.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Ask every task to end now."""
        for task in tuple(self._tasks):
            task.cancel()

    def __len__(self) -> int:
        return len(self._tasks)
