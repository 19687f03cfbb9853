"""The waiting lines: who gets the next free slot.

Executions that wait are grouped by class: queue, selector, function, the slots they take,
and the concurrency key where that has a limit for each worker. All of a class can go to
the same workers, so one look at its head tells whether a worker can take any of it, and a
class that nobody can serve blocks no other. What would hold up its own class (its
concurrency key is full) does not stand in it: it is parked, see `limits`.

A free slot picks a queue by weight (stride scheduling: each lease moves the queue's pass
on by 1/weight, and the lowest pass is served next; Waldspurger and Weihl, 1995), then the
head of least order over its classes: due time plus ten minutes for each step of priority.

Work that takes several slots would never find them free together on a busy worker. When
it has waited for `PATIENCE`, one worker saves its slots for it as they become free.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jobs_grpc.controlplane.core.rows.changes import QueueRow
from jobs_grpc.controlplane.core.state.errors import QueueNotFoundError
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.gates import Entry, Gate, waits
from jobs_grpc.controlplane.core.state.job import Place
from jobs_grpc.controlplane.core.state.live import SavedFor, Session

from .limits import Limits

BUILT_IN: Final[Mapping[str, int]] = {"critical": 6, "default": 3, "low": 1}
# Any common multiple would do; only ratios matter.
_STRIDE: Final = 1_000_000
# A queue whose work no worker could take makes up for this many rounds and no more,
# else it would keep all others waiting when one of its own comes along.
_CREDIT: Final = 10 * _STRIDE
# How long work that takes several slots waits for them to be free by chance.
PATIENCE: Final = 30_000_000

# What the executions of a class have in common, beside their queue.
Line = tuple[Place, int] | tuple[Place, int, object]


@dataclass(slots=True, eq=False)
class WaitingClass:
    """Executions that the same workers can take, in order."""

    queue: str
    line: Line
    limits: Limits
    heap: list[Entry] = field(default_factory=list)
    # The worker that saves its slots for the head.
    saver: Session | None = None

    @property
    def slots(self) -> int:
        return self.line[1]

    def head(self) -> Entry | None:
        """Return the first that still waits for a worker.

        Those that ended are dropped, those whose gate is shut are parked there.
        """
        heap = self.heap
        while heap:
            execution = heap[0][2]
            if waits(execution):
                if not execution.gates:
                    return heap[0]
                gate = shut_gate(execution)
                if gate is None:
                    return heap[0]
                self.limits.park((self.queue, self.line), execution, gate)
            heapq.heappop(heap)
        return None

    def admits(self, session: Session) -> bool:
        """Whether the worker may take the head; there must be one."""
        place = self.line[0]
        admitted = session.eligible.get(place)
        if admitted is None:
            admitted = session.eligible[place] = is_eligible(session, place)
        if len(self.line) == 2 or not admitted:
            return admitted
        return self.limits.admits(session, self.heap[0][2])


@dataclass(slots=True, eq=False)
class Queue:
    """One waiting line: its share, its place in the round, its totals."""

    name: str
    weight: int
    completed: int = 0
    failed: int = 0
    position: int = 0
    # A paused queue keeps its place in the round, and gives nothing away.
    is_paused: bool = False
    classes: dict[Line, WaitingClass] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """About how many wait, apart from the parked: some may have been cancelled."""
        return sum(len(one.heap) for one in tuple(self.classes.values()))

    def row(self) -> QueueRow:
        return QueueRow(self.name, self.weight, self.completed, self.failed)

    def best_class(self, session: Session, free: int, now: int) -> WaitingClass | None:
        """Return the class whose head this worker should take next."""
        best: WaitingClass | None = None
        best_head: Entry | None = None
        empty: list[Line] = []
        for waiting_class in self.classes.values():
            head = waiting_class.head()
            if head is None:
                empty.append(waiting_class.line)
            elif (best_head is None or head < best_head) and waiting_class.admits(
                session
            ):
                if waiting_class.slots <= free:
                    best, best_head = waiting_class, head
                elif _save(waiting_class, head, session, now):
                    return None
        for line in empty:
            del self.classes[line]
        return best


def is_eligible(session: Session, place: Place) -> bool:
    """Whether a worker has the labels and the function that are asked for."""
    selector, function = place
    labels = session.labels
    return all(labels.get(key) == value for key, value in selector) and (
        not function or function in session.functions
    )


def shut_gate(execution: Execution) -> Gate | None:
    """Return the first gate that an execution cannot pass now."""
    for gate in execution.gates:
        if gate.is_shut(execution):
            return gate
    return None


def _save(waiting_class: WaitingClass, head: Entry, session: Session, now: int) -> bool:
    """Have a worker save its slots for a head that has waited for too long."""
    saver = waiting_class.saver
    if (
        waiting_class.slots > session.slots
        or (saver is not None and saver.stream is not None)
        or now - head[2].scheduled_for < PATIENCE
    ):
        return False
    if saver is not None:
        saver.saving_for = None
    waiting_class.saver = session
    session.saving_for = waiting_class
    return True


class Waiting:
    """All queues of a term."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {
            name: Queue(name, weight) for name, weight in BUILT_IN.items()
        }
        self.limits = Limits()
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
        spec = execution.spec
        line: Line = spec.line
        if spec.is_gated:
            if execution.scope is not None or any(
                one.per_worker for one in spec.breakers
            ):
                # What is counted for each worker keeps only its own kind waiting.
                line = (*line, (execution.scope, spec.key if spec.breakers else ""))
            gate = shut_gate(execution)
            if gate is not None:
                self.limits.park((execution.queue, line), execution, gate)
                return
        queue = self.queues[execution.queue]
        if not queue.classes:
            queue.position = max(queue.position, self._round)
        waiting_class = queue.classes.get(line)
        if waiting_class is None:
            waiting_class = queue.classes[line] = WaitingClass(
                queue.name, line, self.limits
            )
        heapq.heappush(waiting_class.heap, (execution.order, execution.seq, execution))

    def take(self, session: Session) -> Execution | None:
        """Return the execution that a free slot of this worker should run, if any."""
        if self.limits.opening:
            self._let_out()
        free = session.free_slots
        if session.saving_for is not None:
            saved_for = self._settle_saving(session, session.saving_for)
            if saved_for is not None:
                if saved_for.slots > free:
                    return None
                return self._give(self.queues[saved_for.queue], saved_for)
        chosen: Queue | None = None
        chosen_class: WaitingClass | None = None
        for queue in self.queues.values():
            if (
                not queue.classes
                or queue.is_paused
                or (chosen is not None and queue.position >= chosen.position)
            ):
                continue
            best = queue.best_class(session, free, self.limits.now)
            if best is not None:
                chosen, chosen_class = queue, best
            elif session.saving_for is not None:
                return None
        if chosen is None or chosen_class is None:
            return None
        return self._give(chosen, chosen_class)

    def _settle_saving(self, session: Session, line: SavedFor) -> WaitingClass | None:
        """Return the line that a worker still saves for, if it should."""
        assert isinstance(line, WaitingClass)
        if (
            line.head() is not None
            and not self.queues[line.queue].is_paused
            and line.admits(session)
            and line.slots <= session.slots
        ):
            return line
        line.saver = session.saving_for = None
        return None

    def _give(self, queue: Queue, line: WaitingClass) -> Execution:
        """Take the head of a line out, at its queue's cost."""
        if line.saver is not None:
            line.saver.saving_for = None
            line.saver = None
        self._round = max(self._round, queue.position)
        position = max(queue.position, self._round - _CREDIT)
        queue.position = position + _STRIDE // queue.weight
        return heapq.heappop(line.heap)[2]

    def _let_out(self) -> None:
        """Bring back those whose gate has opened."""
        opening = self.limits.opening
        while opening:
            gate, _ = opening.popitem()
            for execution in gate.let_out():
                self.add(execution)

    def __bool__(self) -> bool:
        return bool(self.limits.opening) or any(
            queue.classes for queue in self.queues.values()
        )
