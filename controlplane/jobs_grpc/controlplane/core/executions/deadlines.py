"""Limits on a whole execution: its wait for a worker, and all of it.

Both count on the leader's clock from instants that are in the execution's rows, so the
next term goes on counting where the last one ended:

| limit | counts from | what happens |
|---|---|---|
| `queue` | it is due, or its next attempt is | it ends `timed_out`, without another attempt |
| `total` | it is due | the same; one that runs is asked to end first |

Executions whose job sets no such limit are not known here.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.states import State

if TYPE_CHECKING:
    from jobs_grpc.controlplane.core.state.live import Live

    from .lifecycle import Executions

# The end of the reason for which an execution is asked to end: it then counts as timed
# out, also in the next term, which reads the reason from its row.
TOTAL_MARK: Final = "(timeouts.total)"


def is_overdue(execution: Execution) -> bool:
    """Return whether it is being ended because all of it took too long."""
    return execution.cancel_reason.endswith(TOTAL_MARK)


class Deadlines:
    """The limits that may be reached in a term."""

    def __init__(self, live: Live, executions: Executions) -> None:
        self._live = live
        self._executions = executions
        self._heap: list[tuple[int, int, str, Execution]] = []

    def watch(self, execution: Execution) -> None:
        """Count for an execution that is new, or that begins to wait again."""
        for which in ("queue", "total"):
            instant = _deadline(execution, which)
            if instant is not None:
                entry = (instant, execution.seq, which, execution)
                heapq.heappush(self._heap, entry)

    def next_due(self) -> int | None:
        """Return when the next limit may be reached."""
        heap = self._heap
        while heap and not self._stands(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def advance(self, draft: Draft) -> None:
        """End what has reached a limit."""
        while (instant := self.next_due()) is not None and instant <= draft.now:
            _, _, which, execution = heapq.heappop(self._heap)
            limits = execution.spec.timeouts
            assert limits is not None
            if which == "queue":
                assert limits.queue is not None
                reason = f"waited {limits.queue / 1_000_000:g}s (timeouts.queue)"
            else:
                assert limits.total is not None
                took = f"{limits.total / 1_000_000:g}s"
                reason = f"not done within {took} of being due {TOTAL_MARK}"
            self._executions.time_out(draft, execution, which, reason)

    def _stands(self, entry: tuple[int, int, str, Execution]) -> bool:
        instant, _, which, execution = entry
        if self._live.executions.get(execution.id) is not execution:
            return False
        return _deadline(execution, which) == instant


def _deadline(execution: Execution, which: str) -> int | None:
    limits = execution.spec.timeouts
    if limits is None or execution.state is State.CANCELLING:
        return None
    begin = max(execution.scheduled_for, execution.created_at)
    if which == "total":
        return None if limits.total is None else begin + limits.total
    if limits.queue is None or execution.is_leased:
        return None
    if execution.retry is not None:
        begin = max(begin, execution.retry.due_at)
    return begin + limits.queue
