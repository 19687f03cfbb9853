"""Events in order of time, and what they happen to: processes that can die or freeze."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Any, Final

SECOND: Final = 1_000_000
# 2026-03-02T12:00:00Z, a Monday.
NOON: Final = 1_772_452_800 * SECOND

Action = Callable[..., Any]


class Process:
    """Something that acts until it is killed, and not while it is frozen."""

    __slots__ = ("backlog", "is_alive", "is_frozen", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_frozen = False
        self.backlog: list[tuple[Action, tuple[Any, ...]]] = []


class Clock:
    """The clocks of one host: the wall clock steps, the other one does not."""

    __slots__ = ("_kernel", "offset", "started")

    def __init__(self, kernel: Kernel, offset: int = 0) -> None:
        self._kernel = kernel
        self.offset = offset
        self.started = 1_000 * SECOND

    def now(self) -> int:
        return NOON + self._kernel.now + self.offset

    def monotonic(self) -> float:
        return (self._kernel.now + self.started) / SECOND


class Kernel:
    """The world's true time, in microseconds since its beginning, and what comes next."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0
        self.events = 0
        self.story: list[tuple[Any, ...]] = []
        self._heap: list[tuple[int, int, Process | None, Action, tuple[Any, ...]]] = []
        self._pushed = 0
        self._random: dict[str, Random] = {}

    def random(self, purpose: str) -> Random:
        """Return the generator of a purpose: one fault less moves no other purpose."""
        found = self._random.get(purpose)
        if found is None:
            found = self._random[purpose] = Random(f"{self.seed}/{purpose}")
        return found

    def after(
        self, delay: int, process: Process | None, action: Action, *args: Any
    ) -> None:
        """Let something happen, unless its process is dead by then."""
        self._pushed += 1
        at = self.now + delay
        heapq.heappush(self._heap, (at, self._pushed, process, action, args))

    def tell(self, *what: Any) -> None:
        """Put a line into the trace."""
        self.story.append((self.now, *what))

    def advance(self, until: int) -> None:
        """Let everything happen that happens up to an instant."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, process, action, args = heapq.heappop(heap)
            self.now = at
            if process is not None:
                if not process.is_alive:
                    continue
                if process.is_frozen:
                    process.backlog.append((action, args))
                    continue
            self.events += 1
            action(*args)
        self.now = until

    def kill(self, process: Process) -> None:
        process.is_alive = False
        process.backlog.clear()

    def freeze(self, process: Process) -> None:
        process.is_frozen = True

    def thaw(self, process: Process) -> None:
        """Go on: what has come meanwhile is found at once, in its order."""
        process.is_frozen = False
        backlog, process.backlog = process.backlog, []
        for action, args in backlog:
            self.after(0, process, action, *args)

    def digest(self) -> str:
        """Return the hash of the trace."""
        text = "\n".join(map(repr, self.story))
        return blake2b(text.encode(), digest_size=12).hexdigest()


class Signal:
    """Stands in for an `asyncio.Event` where nobody awaits: calls back when it is set."""

    __slots__ = ("_flag", "_on_set")

    def __init__(self, on_set: Callable[[], None]) -> None:
        self._on_set = on_set
        self._flag = False

    def set(self) -> None:
        self._flag = True
        self._on_set()

    def clear(self) -> None:
        self._flag = False

    def is_set(self) -> bool:
        return self._flag
