"""Backfills of a term: they let a few executions wait at a time, and count how those end.

A backfill never has more than `parallel` executions that are not final; the end of one
makes room for the next, in the same commit. They are ordinary executions of the job with
a priority of their own, in order of their creation, so they stand behind live work and
not before it; and overlap, which guards live due times against each other, does not see
them.

A due time that was started before, by its schedule or by any backfill, is left out. What
was started before a backfill began is told to it; what is started while it lives is
remembered here; and the store's unique key says no to everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from jobs_grpc.controlplane.core.executions.lifecycle import Executions
from jobs_grpc.controlplane.core.rows.schedules import BackfillStartRow
from jobs_grpc.controlplane.core.schedules.definitions import Definitions
from jobs_grpc.controlplane.core.state.backfill import (
    LOWEST_PRIORITY,
    MOST_PARALLEL,
    OVER,
    TRIGGER,
    Backfill,
    BackfillState,
)
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import BackfillMoved, ExecutionFinished
from jobs_grpc.controlplane.core.state.errors import (
    BackfillNotFoundError,
    InvalidError,
    NotRunningError,
    RevisionMismatchError,
)
from jobs_grpc.controlplane.core.state.execution import Origin
from jobs_grpc.controlplane.core.state.inputs import BeginBackfill, ChangeBackfill
from jobs_grpc.controlplane.core.state.job import JobSpec, backfill_execution_id
from jobs_grpc.controlplane.core.state.live import Job, Live
from jobs_grpc.controlplane.core.state.states import FAILURES, State
from jobs_grpc.schedule import format_instant

# Unfinished ones of a namespace.
MOST_LIVE: Final = 100
# A step deals with so many due times at most; the next step follows at once.
_A_STEP: Final = 512


class Backfills:
    """The unfinished backfills of a term."""

    def __init__(
        self, live: Live, executions: Executions, definitions: Definitions
    ) -> None:
        self._live = live
        self._executions = executions
        self._definitions = definitions
        self._all: dict[str, Backfill] = {}
        self._of_execution: dict[int, Backfill] = {}
        # Those that may have room for another execution.
        self._eager: dict[str, Backfill] = {}
        # Due times that were started, of the schedules that a live backfill goes by.
        self._started: dict[str, set[int]] = {}
        # Grows whenever some of that is forgotten: what was read from the store before
        # may lack what has been forgotten since.
        self.generation = 0

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def is_eager(self) -> bool:
        """There is more to do without anything happening first."""
        return bool(self._eager)

    def restore(self, backfill: Backfill, started: Iterable[tuple[str, int]]) -> None:
        """Take over one of an earlier term, after the executions."""
        job = self._live.jobs.get(backfill.key)
        for execution in tuple(job.active.values()) if job else ():
            if execution.trigger == TRIGGER and execution.requested_by == _requester(
                backfill
            ):
                backfill.active[execution.seq] = execution
        self._admit(backfill)
        for schedule_id, due in started:
            self._started[schedule_id].add(due)

    def create(self, draft: Draft, request: BeginBackfill) -> Backfill:
        """Begin a backfill; answers the live `Backfill`."""
        job = self._definitions.require(request.key)
        of_namespace = sum(one.key[0] == request.key[0] for one in self._all.values())
        if of_namespace >= MOST_LIVE:
            raise InvalidError(
                f'namespace "{request.key[0]}" has {MOST_LIVE} unfinished backfills',
                hint="let some end, or cancel them: `jobs-grpc backfill list`",
            )
        check_range(
            request.start,
            request.end,
            parallel=request.parallel,
            priority=request.priority,
            now=draft.now,
        )
        if request.generation != self.generation or not _stands(job, request):
            raise RevisionMismatchError(
                "something changed while the due times were counted",
                hint="try again",
            )
        backfill = Backfill(
            seq=self._live.sequence.take(),
            id=request.id,
            key=request.key,
            job_id=job.job_id,
            revision=job.revision,
            schedules=request.schedules,
            schedules_json=request.schedules_json,
            start=request.start,
            end=request.end,
            newest_first=request.newest_first,
            parallel=request.parallel,
            priority=request.priority,
            total=request.total,
            requested_by=request.requested_by,
            created_at=draft.now,
            updated_at=draft.now,
        )
        self._admit(backfill)
        for schedule_id, due in _pairs(request.started):
            self._started[schedule_id].add(due)
        self._note(draft, backfill, "created")
        return backfill

    def change(self, draft: Draft, request: ChangeBackfill) -> Backfill:
        """Pause, resume or cancel; what is so already stays so."""
        backfill = self._all.get(request.id)
        if backfill is None or backfill.key[0] != request.namespace:
            raise BackfillNotFoundError(
                f"backfill {request.id} not found",
                hint="`jobs-grpc backfill list` shows the backfills",
            )
        if request.state is BackfillState.CANCELLING:
            self._cancel(draft, backfill, request.reason)
        elif backfill.state is BackfillState.CANCELLING:
            raise NotRunningError(
                f"backfill {backfill.id} is being cancelled",
                hint="`jobs-grpc backfill create` begins another",
            )
        elif backfill.state is not request.state:
            backfill.state = request.state
            backfill.reason = request.reason
            self._eager[backfill.id] = backfill
            self._note(draft, backfill, request.state.value)
        return backfill

    def drop_job(self, draft: Draft, job: Job) -> None:
        """The job is about to be deleted: its backfills end with it."""
        for backfill in tuple(self._all.values()):
            if backfill.job_id == job.job_id:
                self._cancel(draft, backfill, "the job was deleted")

    def follow(self, draft: Draft) -> bool:
        """Count what has ended and fill the room; say whether anything new waits."""
        for fact in draft.facts[draft.followed :]:
            if type(fact) is ExecutionFinished:
                backfill = self._of_execution.pop(fact.execution.seq, None)
                if backfill is not None:
                    self._count(draft, backfill, fact)
        draft.followed = len(draft.facts)
        created = False
        for backfill in tuple(self._eager.values()):
            created |= self._fill(draft, backfill)
        return created

    def _admit(self, backfill: Backfill) -> None:
        self._all[backfill.id] = self._eager[backfill.id] = backfill
        for seq in backfill.active:
            self._of_execution[seq] = backfill
        for schedule in backfill.schedules:
            self._started.setdefault(schedule.id, set())

    def _count(self, draft: Draft, backfill: Backfill, fact: ExecutionFinished) -> None:
        del backfill.active[fact.execution.seq]
        if fact.state is State.SUCCEEDED:
            backfill.succeeded += 1
        elif fact.state in FAILURES:
            backfill.failed += 1
        else:
            backfill.cancelled += 1
        self._touch(draft, backfill)
        self._eager[backfill.id] = backfill

    def _fill(self, draft: Draft, backfill: Backfill) -> bool:
        job = self._live.jobs.get(backfill.key)
        if job is None or job.job_id != backfill.job_id:
            # What this ends is counted in the next step.
            self._cancel(draft, backfill, "the job is gone")
            job = None
        created = False
        while (
            job is not None
            and backfill.state is BackfillState.RUNNING
            and len(backfill.active) < backfill.parallel
            and (due := backfill.next_due()) is not None
        ):
            if draft.backfilled >= _A_STEP:
                return created
            draft.backfilled += 1
            backfill.pass_by(due)
            self._touch(draft, backfill)
            schedules = backfill.naming(due)
            if any(due in self._started[one.id] for one in schedules):
                backfill.left_out += 1
                continue
            self._start(draft, backfill, job, due)
            created = True
        self._eager.pop(backfill.id)
        if not backfill.active:
            self._settle(draft, backfill)
        return created

    def _start(self, draft: Draft, backfill: Backfill, job: Job, due: int) -> None:
        schedules = backfill.naming(due)
        schedule = schedules[0]
        identity = backfill_execution_id(schedule.id, due)
        params = job.spec.params
        if schedule.params:
            params = {**params, **schedule.params}
        execution = self._executions.create(
            draft,
            _spec(backfill, job.spec),
            job,
            params,
            Origin(
                id=identity,
                trigger=TRIGGER,
                requested_by=_requester(backfill),
                scheduled_for=due,
                schedule_id=schedule.id,
            ),
        )
        backfill.started += 1
        backfill.active[execution.seq] = execution
        self._of_execution[execution.seq] = backfill
        for one in schedules:
            self._started[one.id].add(due)
            draft.backfill_starts.append(
                BackfillStartRow(one.id, due, backfill.id, identity)
            )

    def _settle(self, draft: Draft, backfill: Backfill) -> None:
        """End a backfill that has nothing left to do."""
        if backfill.state is BackfillState.CANCELLING:
            backfill.state = BackfillState.CANCELLED
        elif backfill.state is BackfillState.RUNNING and backfill.next_due() is None:
            backfill.state = BackfillState.COMPLETED
        if backfill.state not in OVER:
            return
        backfill.finished_at = draft.now
        self._note(draft, backfill, backfill.state.value)
        del self._all[backfill.id]
        needed = {one.id for each in self._all.values() for one in each.schedules}
        for schedule in backfill.schedules:
            if schedule.id not in needed:
                del self._started[schedule.id]
                self.generation += 1

    def _cancel(self, draft: Draft, backfill: Backfill, reason: str) -> None:
        if backfill.state is BackfillState.CANCELLING:
            return
        backfill.state = BackfillState.CANCELLING
        backfill.reason = reason
        self._eager[backfill.id] = backfill
        self._touch(draft, backfill)
        for execution in tuple(backfill.active.values()):
            self._executions.cancel(draft, execution, reason)

    def _note(self, draft: Draft, backfill: Backfill, outcome: str) -> None:
        self._touch(draft, backfill)
        draft.facts.append(BackfillMoved(backfill.key, backfill.id, outcome))

    def _touch(self, draft: Draft, backfill: Backfill) -> None:
        backfill.updated_at = draft.now
        draft.backfills[backfill.seq] = backfill


def check_range(
    start: int, end: int, *, parallel: int, priority: int, now: int
) -> None:
    """Refuse what no backfill can be, whatever the job."""
    if start >= end:
        raise InvalidError(
            f"the range ends ({format_instant(end)}) before it begins"
            f" ({format_instant(start)})"
            if start > end
            else f"the range is empty: it begins and ends at {format_instant(end)}",
            hint="the beginning belongs to the range, the end does not",
            field="to",
        )
    if end > now:
        raise InvalidError(
            f"the range ends in the future ({format_instant(end)}): due times to come"
            " are decided when they come",
            hint="end it now or earlier",
            field="to",
        )
    if not 1 <= parallel <= MOST_PARALLEL:
        raise InvalidError(
            f"parallel is 1 to {MOST_PARALLEL}, got {parallel}", field="parallel"
        )
    if not 1 <= priority <= LOWEST_PRIORITY:
        raise InvalidError(
            f"priority is 1 (highest) to {LOWEST_PRIORITY}, got {priority}",
            field="priority",
        )


def _stands(job: Job, request: BeginBackfill) -> bool:
    """Say whether the schedules are still what the request was made from."""
    return job.revision == request.revision and all(
        (known := job.schedules.get(one.id)) is not None and known.spec.rule == one.rule
        for one in request.schedules
    )


def _requester(backfill: Backfill) -> str:
    return f"backfill:{backfill.id}"


def _spec(backfill: Backfill, spec: JobSpec) -> JobSpec:
    if backfill.spec is None or backfill.spec[0] is not spec:
        backfill.spec = (spec, replace(spec, priority=backfill.priority))
    return backfill.spec[1]


def _pairs(started: Mapping[str, AbstractSet[int]]) -> Iterator[tuple[str, int]]:
    for schedule_id, dues in started.items():
        for due in dues:
            yield schedule_id, due
