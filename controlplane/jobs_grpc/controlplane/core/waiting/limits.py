"""How much may run at once: concurrency keys, and which gates an execution has to pass.

Nothing here counts on its own: who holds a key are the leased executions themselves, so
a key cannot leak.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs_grpc.controlplane.core.state.breakers import Breaker
from jobs_grpc.controlplane.core.state.gates import Gate
from jobs_grpc.controlplane.core.state.job import (
    STANDALONE,
    KeyName,
    UnresolvedError,
    key_name,
)
from jobs_grpc.controlplane.core.state.reasons import NAMED, Cause, Reason, ids, listed

from .circuits import Breakers, breaker_key

if TYPE_CHECKING:
    from jobs_grpc.controlplane.core.state.execution import Execution
    from jobs_grpc.controlplane.core.state.live import Session


@dataclass(slots=True, eq=False)
class Key(Gate):
    """A concurrency key: how many executions that share it may be leased at once.

    How many is said by each execution's own job, so a new revision of a job, or another
    job with the same key, may see more or less room.
    """

    name: KeyName = ("", "", "")
    holders: dict[int, Execution] = field(default_factory=dict)

    @property
    def title(self) -> str:
        _, workspace, name = self.name
        if not workspace:
            return f'concurrency key "{name}"'
        job = name if workspace == STANDALONE else f"{workspace}/{name}"
        return f"the concurrency of job {job}"

    def explain(self, execution: Execution) -> Reason:
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
        self.breakers = Breakers(self.open)
        # A set, in order.
        self.opening: dict[Gate, None] = {}

    def introduce(self, execution: Execution) -> None:
        """Tell an execution of a gated job which gates it has to pass."""
        if execution.gates:
            return
        spec = execution.spec
        gates: list[Gate] = [
            self.breakers.of(breaker_key(spec, policy))
            for policy in spec.breakers
            if not policy.per_worker
        ]
        if spec.concurrency is not None:
            try:
                name = key_name(spec, execution.params)
            except UnresolvedError:
                # It is not held back: it is refused when it is about to be leased.
                name = None
            if name is not None:
                key = self.keys.get(name)
                if key is None:
                    key = self.keys[name] = Key(name=name)
                gates.append(key)
                if spec.concurrency.per_worker is not None:
                    execution.scope = name
        for gate in gates:
            gate.members += 1
        execution.gates = tuple(gates)

    def forget(self, execution: Execution) -> None:
        """An execution has ended."""
        for gate in execution.gates:
            gate.members -= 1
            if not gate.members:
                if isinstance(gate, Key):
                    del self.keys[gate.name]
                elif isinstance(gate, Breaker):
                    self.breakers.forget(gate)
        execution.gates = ()

    def admits(self, session: Session, execution: Execution) -> bool:
        """Whether nothing that is counted for each worker speaks against this one."""
        spec = execution.spec
        if execution.scope is not None and spec.concurrency is not None:
            limit = spec.concurrency.per_worker
            if limit is not None and session.held.get(execution.scope, 0) >= limit:
                return False
        return not any(
            breaker.is_shut(execution)
            for breaker in self.breakers.on_worker(spec, session.worker)
        )

    def enter(self, execution: Execution, session: Session) -> None:
        """An execution has been leased to a worker."""
        for gate in execution.gates:
            gate.enter(execution)
            # There may be room for another one.
            self.open(gate)
        for breaker in self.breakers.on_worker(execution.spec, session.worker):
            breaker.enter(execution)
        scope = execution.scope
        if scope is not None:
            session.held[scope] = session.held.get(scope, 0) + 1

    def leave(self, execution: Execution, session: Session | None) -> None:
        """It is leased no more (then its session is given), or does not wait any more."""
        for gate in execution.gates:
            gate.leave(execution)
            self.open(gate)
        for breaker in self.breakers.on_worker(execution.spec, execution.worker):
            breaker.leave(execution)
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
        execution.note_wait(f"for {gate.title}", self.now)
        for other in execution.gates:
            if other is not gate:
                # It may have been the one that was let out there: the next may try.
                self.open(other)
