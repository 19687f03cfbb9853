"""Every attempt this worker holds, by fence.

An attempt is *held* until its result is acknowledged, then *recent* for a while: a
control plane that lost its newest commits in a fail-over can ask for the result again.
A fence is never used twice, so whatever is known here is not begun a second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.table import UNBEGUN, Event

# A database fail-over that lost commits is noticed within minutes, and the last thousand
# results are what an asynchronous replica can have missed.
KEEP_MICROSECONDS: Final = 15 * 60 * 1_000_000
KEEP_RESULTS: Final = 1_000


class Registry:
    """The attempts that are held, and the recent ones."""

    def __init__(self) -> None:
        self.held: dict[int, Attempt] = {}
        self._recent: OrderedDict[int, tuple[int, Attempt]] = OrderedDict()

    def __contains__(self, fence: int) -> bool:
        return fence in self.held or fence in self._recent

    def __iter__(self) -> Iterator[Attempt]:
        """Every attempt, the held ones first."""
        yield from self.held.values()
        for _, attempt in self._recent.values():
            yield attempt

    def add(self, attempt: Attempt) -> None:
        """Hold an attempt."""
        self.held[attempt.fence] = attempt

    def find(self, fence: int) -> Attempt | None:
        """Return the attempt, held or recent."""
        held = self.held.get(fence)
        if held is not None:
            return held
        kept = self._recent.get(fence)
        return kept[1] if kept is not None else None

    def acknowledge(self, attempt: Attempt, now: int) -> None:
        """The leader has the result: the attempt is recent from this instant on.

        Instants are those of the wall clock, since they outlive this process; a clock
        that jumps costs a courtesy and no promise.
        """
        attempt.move(Event.ACKNOWLEDGE)
        self.held.pop(attempt.fence, None)
        self._recent[attempt.fence] = (now, attempt)

    def recall(self, attempt: Attempt) -> None:
        """The leader wants the result again."""
        attempt.move(Event.RECALL)
        self._recent.pop(attempt.fence, None)
        self.held[attempt.fence] = attempt

    def discard(self, fence: int) -> None:
        """Forget an attempt altogether."""
        self.held.pop(fence, None)
        self._recent.pop(fence, None)

    def expire(self, now: int) -> None:
        """Let go of what has been recent for too long, or is too much."""
        recent = self._recent
        while recent:
            kept_at, _ = recent[next(iter(recent))]
            if len(recent) <= KEEP_RESULTS and now - kept_at < KEEP_MICROSECONDS:
                return
            recent.popitem(last=False)

    def story(self) -> Iterator[tuple[Attempt, int | None]]:
        """Every attempt that has begun, with the instant of its acknowledgement."""
        for attempt in self.held.values():
            if attempt.state not in UNBEGUN:
                yield attempt, None
        for kept_at, attempt in self._recent.values():
            yield attempt, kept_at
