"""Threads for plain functions.

Not a `ThreadPoolExecutor`: that one wakes the loop once for every call and is joined
when the program ends, so a function that hangs would keep the daemon from stopping.
Here the results that gather while the loop is busy cost one wake-up, threads are
daemons, and a call that is given up on gets a successor for its thread.

How many threads: one is started for the first call, more when the queue has not moved
for `STUCK_SECONDS`. So ten thousand quick calls share a thread or two, and a thousand
slow ones have one each within a few milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

STUCK_SECONDS: Final = 0.002


class Ending(NamedTuple):
    """How one call ended: with a value, or with an error."""

    call: Callable[[], Any]
    value: Any
    error: BaseException | None


class Threads:
    """A growing set of threads that serve one queue."""

    def __init__(self, limit: int, on_ended: Callable[[Ending], None]) -> None:
        """At most `limit` calls at once; `on_ended` is called in the loop's thread."""
        self._limit = limit
        self._on_ended = on_ended
        self._queue: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._endings: deque[Ending] = deque()
        self._is_woken = False
        self._count = 0
        # Counts without a lock, for the growth rule only: a lost update delays a thread.
        self._taken = 0
        self._seen_taken = -1
        self._is_watching = False
        self._loop = asyncio.get_running_loop()

    def submit(self, call: Callable[[], Any]) -> None:
        """Have `call` run in a thread."""
        self._queue.put(call)
        if self._count == 0:
            self._grow()
        if not self._is_watching:
            self._is_watching = True
            self._seen_taken = -1
            self._loop.call_later(STUCK_SECONDS, self._watch)

    def replace(self) -> None:
        """A call will not end: its thread does not count any more."""
        self._limit += 1

    def close(self) -> None:
        """Let the threads end when they are idle. Those that are stuck end with us."""
        for _ in range(self._count):
            self._queue.put(None)
        self._count = 0

    def _watch(self) -> None:
        waiting = self._queue.qsize()
        if not waiting:
            self._is_watching = False
            return
        if self._taken == self._seen_taken:
            for _ in range(min(waiting, self._limit - self._count)):
                self._grow()
        self._seen_taken = self._taken
        self._loop.call_later(STUCK_SECONDS, self._watch)

    def _grow(self) -> None:
        self._count += 1
        name = f"function-{self._count}"
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        while (call := self._queue.get()) is not None:
            self._taken += 1
            try:
                ending = Ending(call, call(), None)
            except BaseException as error:  # noqa: BLE001 - the end of the call, not ours
                ending = Ending(call, None, error)
            self._endings.append(ending)
            # The loop lowers the flag before it empties the queue, so an ending that
            # finds it raised is seen.
            if not self._is_woken:
                self._is_woken = True
                with contextlib.suppress(RuntimeError):  # the loop has closed
                    self._loop.call_soon_threadsafe(self._collect)
            del call, ending

    def _collect(self) -> None:
        self._is_woken = False
        while self._endings:
            self._on_ended(self._endings.popleft())
