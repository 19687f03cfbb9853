"""Executions that are pending, but not yet in the waiting lines.

A **hold** says what an execution waits for besides a slot: a reason (a word), and a
subject (which job, which key). Whoever holds executions back decides when to let them go;
this module only remembers them, in the order of their creation, and writes the one row a
hold has. A held execution is like any other pending one: it counts as active, it can be
cancelled, and the next term finds it held.

An execution is held by one hold at a time. Nothing is written for those never held.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.execution import Execution

from .lines import Waiting


class Holds:
    """What is held in a term, by what it waits for."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._held: dict[tuple[str, str], dict[int, Execution]] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, execution: Execution) -> None:
        """Take a pending execution that has a hold: a new one, or of an earlier term."""
        assert execution.hold is not None
        held = self._held.setdefault(execution.hold.place, {})
        held[execution.seq] = execution

    def waiting_for(self, reason: str, subject: str) -> Sequence[Execution]:
        """Return what is held for this, in the order in which it came."""
        return tuple(self._held.get((reason, subject), {}).values())

    def let_go(self, draft: Draft, execution: Execution) -> None:
        """Let a held execution wait for a slot."""
        hold = execution.hold
        if hold is not None and draft.now > hold.since:
            execution.note_wait(f"because it was held back ({hold.reason})", hold.since)
        self.drop(draft, execution)
        self._waiting.add(execution)

    def drop(self, draft: Draft, execution: Execution) -> None:
        """Forget the hold of an execution; one that is not held is left alone."""
        hold = execution.hold
        if hold is None:
            return
        held = self._held[hold.place]
        del held[execution.seq]
        if not held:
            del self._held[hold.place]
        execution.hold = None
        draft.note_held(execution)
