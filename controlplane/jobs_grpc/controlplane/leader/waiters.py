"""Callers that wait for the end of an execution."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Waiters:
    """Futures by execution id, resolved when its end is committed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @contextmanager
    def expect(self, execution_id: str) -> Iterator[asyncio.Future[None]]:
        """Give a future that is resolved at the end; look at the store after entering.

        The caller enters first and reads the state then, so that no end slips between.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[execution_id].add(future)
        try:
            yield future
        finally:
            future.cancel()
            waiting = self._waiting.get(execution_id)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[execution_id]

    def ended(self, execution_id: str) -> None:
        """Wake all that wait for this execution."""
        for future in self._waiting.pop(execution_id, ()):
            if not future.done():
                future.set_result(None)
