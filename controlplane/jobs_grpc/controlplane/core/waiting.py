"""The waiting lines: who gets the next free slot.

Executions that wait are grouped by class: queue, selector, function. All of a class can
go to the same workers, so one look at its head tells whether a worker can take any of it,
and a class that nobody can serve blocks no other.

A free slot picks a queue by weight (stride scheduling: each lease moves the queue's pass
on by 1/weight, and the lowest pass is served next; Waldspurger and Weihl, 1995), then the
head of least order over its classes: due time plus ten minutes for each step of priority.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .errors import QueueNotFoundError
from .execution import Execution
from .job import Place
from .live import Session
from .rows import QueueRow
from .states import Phase, State

BUILT_IN: Final[Mapping[str, int]] = {"critical": 6, "default": 3, "low": 1}
# Any common multiple would do; only ratios matter.
_STRIDE: Final = 1_000_000
# A queue whose work no worker could take makes up for this many rounds and no more,
# else it would keep all others waiting when one of its own comes along.
_CREDIT: Final = 10 * _STRIDE


# Due time aged by priority, number, execution: the least goes first.
Entry = tuple[int, int, Execution]


@dataclass(slots=True, eq=False)
class WaitingClass:
    """Executions that the same workers can take, in order."""

    place: Place
    heap: list[Entry] = field(default_factory=list)

    def head(self) -> Entry | None:
        """Return the first that still waits; those that ended are dropped."""
        heap = self.heap
        while heap:
            execution = heap[0][2]
            if execution.state is State.PENDING and execution.phase is Phase.NONE:
                return heap[0]
            heapq.heappop(heap)
        return None

    def admits(self, session: Session) -> bool:
        admitted = session.eligible.get(self.place)
        if admitted is None:
            selector, function = self.place
            labels = session.labels
            admitted = all(labels.get(key) == value for key, value in selector) and (
                not function or function in session.functions
            )
            session.eligible[self.place] = admitted
        return admitted


@dataclass(slots=True, eq=False)
class Queue:
    """One waiting line: its share, its place in the round, its totals."""

    name: str
    weight: int
    completed: int = 0
    failed: int = 0
    position: int = 0
    classes: dict[Place, WaitingClass] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """About how many wait: some may have been cancelled while they did."""
        return sum(len(one.heap) for one in tuple(self.classes.values()))

    def row(self) -> QueueRow:
        return QueueRow(self.name, self.weight, self.completed, self.failed)

    def best_class(self, session: Session) -> WaitingClass | None:
        """Return the class whose head this worker should take next."""
        best: WaitingClass | None = None
        best_head: Entry | None = None
        empty: list[Place] = []
        for waiting_class in self.classes.values():
            head = waiting_class.head()
            if head is None:
                empty.append(waiting_class.place)
            elif (best_head is None or head < best_head) and waiting_class.admits(
                session
            ):
                best, best_head = waiting_class, head
        for place in empty:
            del self.classes[place]
        return best


class Waiting:
    """All queues of a term."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {
            name: Queue(name, weight) for name, weight in BUILT_IN.items()
        }
        # The furthest pass served yet: where a queue that was empty joins the round.
        self._round = 0

    def require(self, name: str) -> None:
        """Refuse a queue that does not exist."""
        if name not in self.queues:
            known = ", ".join(sorted(self.queues))
            raise QueueNotFoundError(
                f'queue "{name}" does not exist',
                hint=f"the queues are {known}",
                field="queue",
            )

    def add(self, execution: Execution) -> None:
        """Let an execution wait for a slot."""
        queue = self.queues[execution.queue]
        if not queue.classes:
            queue.position = max(queue.position, self._round)
        place = execution.spec.place
        waiting_class = queue.classes.get(place)
        if waiting_class is None:
            waiting_class = queue.classes[place] = WaitingClass(place)
        heapq.heappush(waiting_class.heap, (execution.order, execution.seq, execution))

    def take(self, session: Session) -> Execution | None:
        """Return the execution that a free slot of this worker should run, if any."""
        chosen: Queue | None = None
        chosen_class: WaitingClass | None = None
        for queue in self.queues.values():
            if not queue.classes or (
                chosen is not None and queue.position >= chosen.position
            ):
                continue
            best = queue.best_class(session)
            if best is not None:
                chosen, chosen_class = queue, best
        if chosen is None or chosen_class is None:
            return None
        self._round = max(self._round, chosen.position)
        position = max(chosen.position, self._round - _CREDIT)
        chosen.position = position + _STRIDE // chosen.weight
        return heapq.heappop(chosen_class.heap)[2]

    def __bool__(self) -> bool:
        return any(queue.classes for queue in self.queues.values())
