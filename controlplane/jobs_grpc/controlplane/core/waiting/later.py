"""Executions that wait for an instant: of their schedule, or of their next attempt.

The instants are in the executions' rows, so the next term waits for the same ones.
A delay is time that passes, whatever the clock says: when it is set back, the instants of
next attempts go with it. Those that a schedule or a person named stay where they are.
"""

from __future__ import annotations

import heapq

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.states import Move, State

from .lines import Waiting


def _instant(execution: Execution) -> int | None:
    """Return what an execution waits for, if it waits for an instant."""
    if execution.state is State.SCHEDULED:
        return execution.scheduled_for
    if execution.state is State.RETRYING and execution.retry is not None:
        return execution.retry.due_at
    return None


class Later:
    """What is not due yet, in order."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._heap: list[tuple[int, int, Execution]] = []
        self._as_of = 0

    def add(self, execution: Execution) -> None:
        """Let an execution that is `scheduled` or `retrying` wait for its instant."""
        instant = _instant(execution)
        assert instant is not None
        heapq.heappush(self._heap, (instant, execution.seq, execution))

    def next_due(self) -> int | None:
        """Return when the next of them comes due."""
        heap = self._heap
        while heap and _instant(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def come_due(self, draft: Draft) -> None:
        """Let executions whose instant has come wait for a slot."""
        if draft.now < self._as_of:
            self._set_back(draft, self._as_of - draft.now)
        self._as_of = draft.now
        while (instant := self.next_due()) is not None and instant <= draft.now:
            execution = heapq.heappop(self._heap)[2]
            execution.move(Move.COME_DUE)
            draft.note_moved(execution)
            self._waiting.add(execution)

    def _set_back(self, draft: Draft, by: int) -> None:
        """Wait for the next attempts as long as before the clock was set back."""
        for instant, _, execution in tuple(self._heap):
            retry = execution.retry
            if retry is None or execution.state is not State.RETRYING:
                continue
            if retry.due_at == instant:
                # What stays in the heap of the old instant is passed over.
                retry.due_at -= by
                draft.note_retry(execution)
                self.add(execution)
