"""So many bytes and so many chunks at once, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Allowance:
    """A semaphore over bytes and count. One event loop only."""

    def __init__(self, *, max_bytes: int, max_count: int) -> None:
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._bytes = 0
        self._count = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken_bytes(self) -> int:
        return self._bytes

    @property
    def taken_count(self) -> int:
        return self._count

    async def take(self, size: int) -> None:
        """Wait for room and take it. What is too big for ever is let in alone."""
        if not self._waiting and self._has_room(size):
            self._add(size)
            return
        turn = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(entry)
                self._admit()
            else:
                # The room was given in the same moment.
                self.give_back(size)
            raise

    def give_back(self, size: int) -> None:
        """Return the room of one chunk."""
        self._bytes -= size
        self._count -= 1
        self._admit()

    def _has_room(self, size: int) -> bool:
        return self._count == 0 or (
            self._bytes + size <= self._max_bytes and self._count < self._max_count
        )

    def _add(self, size: int) -> None:
        self._bytes += size
        self._count += 1

    def _admit(self) -> None:
        while self._waiting and self._has_room(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._add(size)
                turn.set_result(None)
