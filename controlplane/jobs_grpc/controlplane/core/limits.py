"""Gates: what keeps an execution waiting though a worker could take it.

A gate is a concurrency key that is full, or a circuit breaker that is open. An execution
whose gate is shut must not stand at the head of its line, where it would block those
behind it: it is **parked** at the gate, and comes back into its line when the gate opens.

    line (heap) ──head, gate shut──► parked at the gate ──gate opens──► line

A gate that opens for one more lets one of each line out, since it does not know which line
a worker will serve next; those that come too late are parked again. So an opening costs
as much as there are lines that share the gate, however many wait at it.

Nothing here counts on its own: who holds a key are the leased executions themselves, so
a key cannot leak.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .job import STANDALONE, KeyName, UnresolvedError, key_name
from .reasons import NAMED, Cause, Reason, ids, listed
from .states import Phase, State

if TYPE_CHECKING:
    from .execution import Execution
    from .live import Session

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
class Gate:
    """Where executions are parked, by the line that they came from."""

    parked: dict[object, list[Entry]] = field(default_factory=dict)

    def is_shut(self, execution: Execution) -> bool:
        """Whether this execution may not pass now."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """What it is, for people."""
        raise NotImplementedError

    def reason(self, execution: Execution) -> Reason:
        """Why it is shut for an execution."""
        raise NotImplementedError

    def lets_all_out(self) -> bool:
        """Whether everybody may go when it opens, not only the first of each line."""
        return False

    def enter(self, execution: Execution) -> None:
        """An execution has passed: it is leased."""

    def leave(self, execution: Execution) -> None:
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


@dataclass(slots=True, eq=False)
class Key(Gate):
    """A concurrency key: how many executions that share it may be leased at once.

    How many is said by each execution's own job, so a new revision of a job, or another
    job with the same key, may see more or less room.
    """

    name: KeyName = ("", "", "")
    holders: dict[int, Execution] = field(default_factory=dict)
    # How many live executions know this key.
    members: int = 0

    @property
    def title(self) -> str:
        _, workspace, name = self.name
        if not workspace:
            return f'concurrency key "{name}"'
        job = name if workspace == STANDALONE else f"{workspace}/{name}"
        return f"the concurrency of job {job}"

    def reason(self, execution: Execution) -> Reason:
        concurrency = execution.spec.concurrency
        assert concurrency is not None
        holders = self.holders.values()
        return Reason(
            cause=Cause.CONCURRENCY,
            text=f"{self.title} is held by {listed(holders)} ({len(holders)} of"
            f" {concurrency.max})",
            holders=ids(holders),
            workers=tuple(sorted({one.worker for one in holders}))[:NAMED],
        )

    def is_shut(self, execution: Execution) -> bool:
        concurrency = execution.spec.concurrency
        assert concurrency is not None
        return concurrency.max is not None and len(self.holders) >= concurrency.max

    def enter(self, execution: Execution) -> None:
        self.holders[execution.seq] = execution

    def leave(self, execution: Execution) -> None:
        self.holders.pop(execution.seq, None)


class Limits:
    """The gates of a term, and which of them may have something to let out."""

    def __init__(self) -> None:
        # The instant of the current step.
        self.now = 0
        self.keys: dict[KeyName, Key] = {}
        # A set, in order.
        self.opening: dict[Gate, None] = {}

    def introduce(self, execution: Execution) -> None:
        """Tell an execution of a gated job which gates it has to pass."""
        spec = execution.spec
        if spec.concurrency is None or execution.gates:
            return
        try:
            name = key_name(spec, execution.params)
        except UnresolvedError:
            # It is not held back: it is refused when it is about to be leased.
            return
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key(name=name)
        key.members += 1
        execution.gates = (key,)
        if spec.concurrency.per_worker is not None:
            execution.scope = name

    def forget(self, execution: Execution) -> None:
        """An execution has ended."""
        for gate in execution.gates:
            if isinstance(gate, Key):
                gate.members -= 1
                if not gate.members:
                    del self.keys[gate.name]
        execution.gates = ()

    def enter(self, execution: Execution, session: Session) -> None:
        """An execution has been leased to a worker."""
        for gate in execution.gates:
            gate.enter(execution)
            # There may be room for another one.
            self.open(gate)
        scope = execution.scope
        if scope is not None:
            session.held[scope] = session.held.get(scope, 0) + 1

    def leave(self, execution: Execution, session: Session | None) -> None:
        """It is leased no more (then its session is given), or does not wait any more."""
        for gate in execution.gates:
            gate.leave(execution)
            self.open(gate)
        scope = execution.scope
        if scope is not None and session is not None:
            rest = session.held.get(scope, 0) - 1
            if rest > 0:
                session.held[scope] = rest
            else:
                session.held.pop(scope, None)

    def open(self, gate: Gate) -> None:
        """Have a gate let out who may go, before the next slot is filled."""
        if gate.parked:
            self.opening[gate] = None

    def park(self, line: object, execution: Execution, gate: Gate) -> None:
        """Let an execution wait at a gate that is shut for it."""
        gate.park(line, execution)
        if execution.parked is None:
            execution.parked = {}
        execution.parked.setdefault(gate.title, self.now)
        for other in execution.gates:
            if other is not gate:
                # It may have been the one that was let out there: the next may try.
                self.open(other)

    def gates(self) -> Iterator[Gate]:
        """Yield every gate."""
        yield from self.keys.values()
