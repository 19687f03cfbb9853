"""The circuit breakers of a term: found by name, judged by attempts, tried again in time.

Besides those that jobs ask for, each worker has one of its own, for what no job is to
blame for: attempts that it reports lost, and silences that cost it its leases. Attempts
that were leased before the last such failure belong to the same trouble and count once, as
do the attempts of one execution, which may be to blame itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from jobs_grpc.controlplane.core.state.breakers import (
    Breaker,
    BreakerKey,
    BreakerState,
    verdict,
)
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import BreakerMoved
from jobs_grpc.controlplane.core.state.errors import BreakerNotFoundError
from jobs_grpc.controlplane.core.state.gates import Gate
from jobs_grpc.controlplane.core.state.inputs import ResetBreaker, TripBreaker
from jobs_grpc.controlplane.core.state.job import BreakerPolicy, JobSpec
from jobs_grpc.controlplane.core.state.states import Move

if TYPE_CHECKING:
    from jobs_grpc.controlplane.core.state.execution import Execution, Result
    from jobs_grpc.controlplane.core.state.live import Live, Session

# Of the breaker that each worker has.
WORKER: Final = BreakerPolicy(
    failures=5,
    window=300_000_000,
    open_for=30_000_000,
    successes=1,
    percent=50,
    of=20,
)


def breaker_key(spec: JobSpec, policy: BreakerPolicy, worker: str = "") -> BreakerKey:
    """Return the breaker that a job means by one of its policies."""
    on = worker if policy.per_worker else ""
    if policy.name:
        return BreakerKey(spec.namespace, dependency=policy.name, worker=on)
    return BreakerKey(spec.namespace, job=f"{spec.workspace}/{spec.name}", worker=on)


class Breakers:
    """All breakers of a term; those that were never needed are not kept."""

    def __init__(self, on_open: Callable[[Gate], None]) -> None:
        """`on_open` is called with a gate that may have something to let out."""
        self._on_open = on_open
        self._all: dict[BreakerKey, Breaker] = {}
        # What is to be written, and whether its state has changed.
        self._changed: dict[Breaker, bool] = {}
        # Those that are open until an instant.
        self._timed: dict[Breaker, None] = {}
        # The breakers of workers, by the workers' names.
        self.workers: dict[str, Breaker] = {}
        self._is_new = True

    def restore(self, breaker: Breaker) -> None:
        """Take over a breaker of an earlier term."""
        self._add(breaker)
        if breaker.until is not None:
            self._timed[breaker] = None

    def of(self, key: BreakerKey) -> Breaker:
        """Return a breaker; one that is not known is closed."""
        found = self._all.get(key)
        if found is None:
            found = Breaker(key=key)
            self._add(found)
        return found

    def forget(self, breaker: Breaker) -> None:
        """Nobody uses it now; keep it only if it has something to say."""
        if breaker.is_pristine and breaker not in self._changed:
            self._all.pop(breaker.key, None)

    def on_worker(self, spec: JobSpec, worker: str) -> Iterator[Breaker]:
        """Yield the breakers that a job has on one worker, as far as there are any."""
        for policy in spec.breakers:
            if policy.per_worker:
                found = self._all.get(breaker_key(spec, policy, worker))
                if found is not None:
                    yield found

    def judge(self, execution: Execution, result: Result, now: int) -> None:
        """Take the end of an attempt into account, before its lease is dropped."""
        spec = execution.spec
        for policy in spec.breakers:
            key = breaker_key(spec, policy, execution.worker)
            success = verdict(key, policy, result)
            if success is not None and (not success or key in self._all):
                self.of(key).judge(execution.id, policy, success=success, now=now)
        if result.move is Move.LOSE:
            self._worker_lost(execution, now)
        elif self.workers and result.move is not Move.CANCEL:
            of_worker = self.workers.get(execution.worker)
            if of_worker is not None:
                of_worker.judge(execution.id, WORKER, success=True, now=now)

    def _worker_lost(self, execution: Execution, now: int) -> None:
        breaker = self.of(BreakerKey("", worker=execution.worker))
        leased_at = execution.leased_at
        if leased_at is None or leased_at < breaker.failed_at:
            return
        if execution.id == breaker.failed_by:
            # Perhaps it is the job that ends its keeper, and not the worker.
            return
        breaker.failed_at, breaker.failed_by = now, execution.id
        breaker.judge(execution.id, WORKER, success=False, now=now)

    def attach(self, session: Session) -> None:
        """Give a session the breaker of its worker, if there is one."""
        session.breaker = self.workers.get(session.worker)

    # Time, and what is written.

    def come_due(self, live: Live, now: int) -> None:
        """Let probes through where a breaker was open for long enough."""
        if self._is_new:
            self._is_new = False
            for breaker in self._all.values():
                probe = live.executions.get(breaker.probe)
                if breaker.probe and (probe is None or not probe.is_leased):
                    breaker.drop_probe()
        for breaker in tuple(self._timed):
            if breaker.come_due(now):
                self._on_open(breaker)

    def next_due(self) -> int | None:
        """Return when the next breaker is to be tried again."""
        times = (one.until for one in self._timed)
        return min((time for time in times if time is not None), default=None)

    def note(self, draft: Draft, live: Live) -> None:
        """Have written what a step has changed."""
        if not self._changed:
            return
        for breaker, has_moved in self._changed.items():
            draft.breakers.append(breaker.row())
            if breaker.until is None:
                self._timed.pop(breaker, None)
            else:
                self._timed[breaker] = None
            if has_moved:
                draft.facts.append(
                    BreakerMoved(
                        breaker.key.namespace,
                        breaker.key.name,
                        breaker.state.value,
                        breaker.reason,
                        breaker.until,
                    )
                )
            if breaker.key.kind == "worker":
                for session in live.sessions.values():
                    self.attach(session)
        self._changed.clear()

    def counts(self) -> dict[str, int]:
        """Return how many breakers are open, and half-open."""
        states = [one.state for one in tuple(self._all.values())]
        return {
            state.value: states.count(state)
            for state in (BreakerState.OPEN, BreakerState.HALF_OPEN)
        }

    # By hand.

    def visible(self, live: Live, namespace: str) -> list[Breaker]:
        """Return the breakers of a namespace and of all workers, by name.

        Those that its stored jobs ask for are there, though nothing has happened to them.
        """
        found = {
            key: one
            for key, one in self._all.items()
            if key.namespace in {namespace, ""}
        }
        for job in live.jobs.values():
            if job.spec.namespace != namespace:
                continue
            for policy in job.spec.breakers:
                if not policy.per_worker:
                    key = breaker_key(job.spec, policy)
                    found.setdefault(key, Breaker(key=key))
        return sorted(found.values(), key=lambda one: one.key.name)

    def find(self, live: Live, namespace: str, name: str) -> Breaker:
        """Return a breaker by the name that people use."""
        for breaker in self.visible(live, namespace):
            if breaker.key.name == name:
                return breaker
        kind, _, worker = name.partition(":")
        if kind == "worker" and any(
            one.worker == worker for one in live.sessions.values()
        ):
            return self.of(BreakerKey("", worker=worker))
        raise BreakerNotFoundError(
            f'there is no circuit breaker "{name}" in namespace "{namespace}"',
            hint="`jobs-grpc breaker list` shows them",
            field="name",
        )

    def trip(self, live: Live, now: int, request: TripBreaker) -> Breaker:
        """Open a breaker by hand."""
        breaker = self.of(self.find(live, request.namespace, request.name).key)
        breaker.trip(now, request.until, request.reason)
        return breaker

    def reset(self, live: Live, now: int, request: ResetBreaker) -> Breaker:
        """Close a breaker by hand."""
        breaker = self.of(self.find(live, request.namespace, request.name).key)
        breaker.reset(now, request.reason)
        self._on_open(breaker)
        return breaker

    def drop_job(self, spec: JobSpec, now: int) -> None:
        """A job is deleted: one of the same name begins anew."""
        job = f"{spec.workspace}/{spec.name}"
        for key, breaker in tuple(self._all.items()):
            is_its_own = key.namespace == spec.namespace and key.job == job
            if is_its_own and not breaker.is_pristine:
                breaker.reset(now, "the job was deleted")
                self._on_open(breaker)

    def _add(self, breaker: Breaker) -> None:
        breaker.changed = self._changed
        self._all[breaker.key] = breaker
        if breaker.key.kind == "worker":
            self.workers[breaker.key.worker] = breaker
