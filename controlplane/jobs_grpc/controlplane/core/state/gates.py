"""Gates: what keeps an execution waiting though a worker could take it.

A gate is a concurrency key that is full, or a circuit breaker that is open. An execution
whose gate is shut must not stand at the head of its line, where it would block those
behind it: it is **parked** at the gate, and comes back into its line when the gate opens.

    line (heap) ──head, gate shut──► parked at the gate ──gate opens──► line

A gate that opens for one more lets one of each line out, since it does not know which line
a worker will serve next; those that come too late are parked again. So an opening costs
as much as there are lines that share the gate, however many wait at it.

What a gate is and when it opens is said in `limits` and `breakers`.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .reasons import Reason
from .states import Phase, State

if TYPE_CHECKING:
    from .execution import Execution

# Due time aged by priority, number, execution: the least goes first.
Entry = tuple[int, int, "Execution"]


def waits(execution: Execution) -> bool:
    """Whether an entry of a heap still counts: it may have ended while it stood there."""
    return (
        execution.state is State.PENDING
        and execution.phase is Phase.NONE
        and execution.hold is None
    )


@dataclass(slots=True, eq=False)
class Gate(ABC):
    """Where executions are parked, by the line that they came from."""

    parked: dict[object, list[Entry]] = field(default_factory=dict)
    # How many live executions know it.
    members: int = 0

    @abstractmethod
    def is_shut(self, execution: Execution) -> bool:
        """Whether this execution may not pass now."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, for people."""

    @abstractmethod
    def explain(self, execution: Execution) -> Reason:
        """Why it is shut for an execution."""

    def lets_all_out(self) -> bool:
        """Whether everybody may go when it opens, not only the first of each line."""
        return False

    def enter(self, execution: Execution) -> None:  # noqa: B027 - may mean nothing to it
        """An execution has passed: it is leased."""

    def leave(self, execution: Execution) -> None:  # noqa: B027 - the same
        """It is leased no more, or it ended before it was."""

    def park(self, line: object, execution: Execution) -> None:
        entry = (execution.order, execution.seq, execution)
        heapq.heappush(self.parked.setdefault(line, []), entry)

    def waiting(self) -> Iterator[Entry]:
        """Yield all that are parked here, in no order."""
        for heap in self.parked.values():
            yield from (entry for entry in heap if waits(entry[2]))

    def let_out(self) -> list[Execution]:
        """Take out who may go now."""
        out: list[Execution] = []
        everybody = self.lets_all_out()
        for line, heap in tuple(self.parked.items()):
            while heap:
                execution = heap[0][2]
                if waits(execution):
                    if self.is_shut(execution):
                        break
                    out.append(execution)
                    heapq.heappop(heap)
                    if not everybody:
                        break
                else:
                    heapq.heappop(heap)
            if not heap:
                del self.parked[line]
        return out
