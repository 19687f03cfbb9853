"""A cancel does not wait for ever for its worker.

The worker climbs a ladder of its own: the signal, the grace, KILL, and some seconds for
what cannot be killed. One that is connected and still has not said how the attempt ended
long after that (its loop is stuck, its disk takes no results) would leave the execution
`cancelling`, and its slot taken, without an end. So the end is declared unknown then; a
late result is believed as that of any lost attempt.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.states import State

# The worker gives up on processes that cannot be killed 10 s after KILL and waits 5 s for
# their output; the rest is for a disk that is slow to keep the result.
BOUND: Final = 30_000_000


class Cancelling:
    """The executions that are asked to end, by when their worker must have told."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Execution]] = []

    def watch(self, execution: Execution, now: int) -> None:
        """Count from now; after a restart of the server, anew."""
        deadline = now + execution.spec.cancel_grace + BOUND
        entry = (deadline, execution.seq, execution.fence, execution)
        heapq.heappush(self._heap, entry)

    def next_due(self) -> int | None:
        """Return when the first one is overdue."""
        while self._heap and not _waits(*self._heap[0][2:]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def overdue(self, now: int) -> Iterator[Execution]:
        """Yield each that is overdue, once."""
        while (due := self.next_due()) is not None and due <= now:
            yield heapq.heappop(self._heap)[3]


def _waits(fence: int, execution: Execution) -> bool:
    return execution.state is State.CANCELLING and execution.fence == fence
