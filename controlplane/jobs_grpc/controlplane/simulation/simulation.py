"""Steps the core from event to event over a range of time.

The due times are those of [start, end). What is not over at the end stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.draft import Step
from jobs_grpc.controlplane.core.state.effects import ExecutionFinished
from jobs_grpc.controlplane.core.state.errors import RefusedError
from jobs_grpc.controlplane.core.state.inputs import ApplyJobs, Input
from jobs_grpc.controlplane.core.state.job import JobKey, JobSpec, ScheduleSpec
from jobs_grpc.schedule import AfterEndRule

from .outcome import Collision, Outcome, Simulated, Skipped
from .worker import VirtualWorker

# Due times that are kept, some 500 bytes each.
DEFAULT_LIMIT: Final = 200_000


def run(
    specs: Sequence[JobSpec],
    *,
    start: int,
    end: int,
    slots: int,
    length: Callable[[JobSpec], int],
    limit: int = DEFAULT_LIMIT,
) -> Outcome:
    """Return what becomes of every due time of the range.

    `length` says how long an execution of a job takes. Any slot can run any job: what
    workers have which labels is not known here, so selectors are left out. A range with
    more than `limit` due times is simulated until then, which the outcome says.

    Raises:
        RefusedError: the jobs cannot be applied, for example to a queue that is not there.
    """
    anywhere = tuple(
        replace(spec, selector={}, schedules=_still_due(spec, start)) for spec in specs
    )
    simulation = _Simulation(anywhere, start, end, slots, length)
    simulation.run(limit)
    return simulation.outcome


def _still_due(spec: JobSpec, start: int) -> tuple[ScheduleSpec, ...]:
    """Return the schedules that are not over: a core refuses to take one that is."""
    return tuple(
        one
        for one in spec.schedules
        if isinstance(one.rule, AfterEndRule)
        or one.rule.next_after(start - 1) is not None
    )


class _Simulation:
    def __init__(
        self,
        specs: tuple[JobSpec, ...],
        start: int,
        end: int,
        slots: int,
        length: Callable[[JobSpec], int],
    ) -> None:
        self._specs = specs
        functions = [spec.work.function for spec in specs if spec.work.function]
        self._worker = VirtualWorker(slots, functions, length)
        self._core = Core(term=1)
        self._slots_of = {spec.key: spec.slots for spec in specs}
        # What is not over yet, by job; a due time that meets something collides.
        self._active: dict[JobKey, set[str]] = {spec.key: set() for spec in specs}
        self.outcome = Outcome(
            start=start,
            end=end,
            slots=slots,
            queue_of={spec.key: spec.queue for spec in specs},
        )

    def run(self, limit: int) -> None:
        outcome = self.outcome
        # A due time is later than the application of its job.
        now = outcome.start - 1
        sources = ("simulation",) * len(self._specs)
        apply = ApplyJobs(specs=self._specs, sources=sources)
        self._step([apply, self._worker.hello()], now, outcome.start)
        while (following := self._next(now)) is not None and following < outcome.end:
            # What is begun in an instant is done with it.
            is_full = len(outcome.executions) + len(outcome.skipped) >= limit
            if is_full and following > now:
                outcome.stopped_at = self._worker.told(following)
                return
            now = following
            at = self._worker.told(now)
            self._step(self._worker.says(now), now, at)

    def _next(self, now: int) -> int | None:
        if self._worker.has_something_to_say:
            return now
        times = (self._core.next_event(), self._worker.next_end())
        return min((time for time in times if time is not None), default=None)

    def _step(self, inputs: list[Input], now: int, at: int) -> None:
        """Step at `now`; `at` is when what follows from it begins."""
        step = self._core.step(inputs, now)
        for reply in step.replies:
            if isinstance(reply, RefusedError):
                raise reply
        self._note(step, at)
        self._worker.hears(step.messages, at, self.outcome.executions)

    def _note(self, step: Step, at: int) -> None:
        outcome = self.outcome
        for row in step.changes.created:
            key = (row.namespace, row.workspace, row.job)
            outcome.executions[row.id] = Simulated(
                row.id, key, row.queue, row.scheduled_for, at, slots=self._slots_of[key]
            )
        for decision in step.changes.decisions:
            key = (decision.namespace, decision.workspace, decision.job)
            is_started = decision.outcome == "started"
            if not is_started:
                outcome.skipped.append(
                    Skipped(key, decision.due_at, decision.reason, decision.holder)
                )
            active = self._active[key]
            if decision.holder or (is_started and active):
                made = "waited" if decision.holder else "beside"
                holder = decision.holder or next(iter(active))
                outcome.collisions.append(
                    Collision(
                        key, decision.due_at, made if is_started else "skipped", holder
                    )
                )
            if is_started:
                active.add(decision.execution_id)
        for fact in step.facts:
            if isinstance(fact, ExecutionFinished):
                record = outcome.executions[fact.execution.id]
                record.finished_at = fact.result.finished_at
                record.state = fact.state.value
                self._active[record.key].discard(record.id)
