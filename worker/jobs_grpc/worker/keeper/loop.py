"""The keeper's one loop: descriptors, timers and the news of dead children.

Plain epoll rather than `selectors` or asyncio: a third of the cost per event, and nothing
else is needed. Callbacks run one at a time in the main thread and must not block.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

# Nobody depends on waking without an event; this only bounds the harm of a lost one.
_LONGEST_WAIT: Final = 60.0
# Below this many cancelled timers a sweep of the heap is not worth its time.
_SWEEP_FROM: Final = 512


class Timer:
    """A callback that is due at an instant of the monotonic clock."""

    __slots__ = ("_loop", "callback")

    def __init__(self, loop: Loop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make sure that the callback is not called any more."""
        if self.callback is not None:
            self.callback = None
            self._loop.timer_cancelled()


class Loop:
    """Waits, and calls back."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._cancelled = 0
        self.children_changed = False
        self.stop_signaled = False
        self._listen_to_signals()

    def watch(
        self,
        descriptor: int,
        callback: Callable[[int], None],
        events: int = select.EPOLLIN,
    ) -> None:
        """Call back whenever the descriptor is ready."""
        if descriptor in self._callbacks:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def unwatch(self, descriptor: int) -> None:
        """Stop watching; call it before the descriptor is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def close(self, descriptor: int) -> None:
        """Stop watching and close: the kernel unregisters what has no other name."""
        self._callbacks.pop(descriptor, None)
        os.close(descriptor)

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back once, at `when` of the monotonic clock."""
        timer = Timer(self, callback)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def turn(self, *, wait: bool = True) -> None:
        """Wait for something to happen unless told not to, and call back for it."""
        for descriptor, _events in self._epoll.poll(self._patience() if wait else 0):
            callback = self._callbacks.get(descriptor)
            if callback is not None:
                try:
                    callback(descriptor)
                except Exception:
                    # One attempt's or session's failure must not end all others.
                    logger.exception("a descriptor is not watched any more")
                    self.unwatch(descriptor)
        self._run_timers()

    def timer_cancelled(self) -> None:
        """Drop cancelled timers when they are most of the heap (timeouts not reached)."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_FROM and self._cancelled * 2 > len(self._timers):
            self._timers = [item for item in self._timers if item[2].callback]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _patience(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
            self._cancelled -= 1
        if not self._timers:
            return _LONGEST_WAIT
        return min(_LONGEST_WAIT, max(0.0, self._timers[0][0] - time.monotonic()))

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._cancelled -= 1
                continue
            try:
                callback()
            except Exception:
                logger.exception("a timer failed")

    def _listen_to_signals(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._child_changed)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_signaled)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.watch(reader, lambda descriptor: void(os.read(descriptor, 4096)))

    def _child_changed(self, _number: int, _frame: object) -> None:
        self.children_changed = True

    def _stop_signaled(self, _number: int, _frame: object) -> None:
        self.stop_signaled = True


def void(_value: object) -> None:
    """Take a value that nobody needs."""
