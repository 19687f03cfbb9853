"""Executions from creation to end: every change of a live execution is made here.

Who is authoritative: this term, through the commit of each step. A worker's report is a
proposal; it counts only with the fence of the current attempt from the session that
holds it.

    create → (wait) → lease → [start] → finish
                       │         │
                       └ release ┘  back to waiting, when nothing ran or may run again
                       └ lose       when it may have run and must not run again
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    ExecutionFinished,
    ExecutionLeased,
    ExecutionStarted,
    LeaseGranted,
)
from jobs_grpc.controlplane.core.state.execution import Execution, Origin, Result
from jobs_grpc.controlplane.core.state.job import JobSpec, UnresolvedError, resolve
from jobs_grpc.controlplane.core.state.live import Job, Live, Session
from jobs_grpc.controlplane.core.state.retrying import LOSSES
from jobs_grpc.controlplane.core.state.states import FAILURES, Move, Phase, State
from jobs_grpc.controlplane.core.state.story import Event
from jobs_grpc.controlplane.core.waiting.holding import Holds
from jobs_grpc.controlplane.core.waiting.later import Later
from jobs_grpc.controlplane.core.waiting.lines import Waiting
from jobs_grpc.controlplane.core.waiting.quarantine import Quarantine

from .again import Again
from .cancelling import BOUND, Cancelling
from .deadlines import Deadlines, is_overdue
from .followups import FollowUps
from .outcome import SILENT, explained, never_begun
from .overlap import settle


class Executions:
    """The executions of a term."""

    def __init__(self, live: Live, waiting: Waiting) -> None:
        self._live = live
        self._waiting = waiting
        self._limits = waiting.limits
        # Whether an operator has a worker drained.
        self.is_drained: Callable[[str], bool] = lambda _worker_id: False
        self.holds = Holds(waiting)
        # Hears of the end of every execution of a job that counts failures in a row.
        self.on_counted: Callable[[Draft, Job, Execution], None] = (
            lambda _draft, _job, _execution: None
        )
        self.quarantine = Quarantine(live, waiting.limits)
        self.cancelling = Cancelling()
        self._later = Later(waiting)
        self._again = Again(live, waiting, self._later, self._begin_to_wait)
        self.follow_ups = FollowUps(live, self)
        self.deadlines = Deadlines(live, self)

    def create(
        self,
        draft: Draft,
        spec: JobSpec,
        job: Job | None,
        params: Mapping[str, Any],
        origin: Origin,
    ) -> Execution:
        """Make an execution and let it wait, for its instant or for a slot."""
        is_due = origin.scheduled_for <= draft.now
        execution = Execution(
            seq=self._live.sequence.take(),
            id=origin.id,
            spec=spec,
            job_id=job.job_id if job else 0,
            revision=job.revision if job else 0,
            trigger=origin.trigger,
            queue=spec.queue,
            priority=spec.priority,
            scheduled_for=origin.scheduled_for,
            created_at=draft.now,
            requested_by=origin.requested_by,
            schedule_id=origin.schedule_id,
            request_id=origin.request_id,
            params=params,
            document_json=None if job else spec.document_json,
            state=State.PENDING if is_due else State.SCHEDULED,
            hold=origin.hold,
        )
        draft.note_created(execution)
        if execution.hold is not None:
            draft.note_held(execution)
        self.admit(execution, job)
        return execution

    def admit(self, execution: Execution, job: Job | None) -> None:
        """Take a live execution into the term; new ones and those of earlier terms."""
        self._live.executions[execution.id] = execution
        if execution.spec.timeouts is not None:
            self.deadlines.watch(execution)
        if job is not None:
            job.active[execution.seq] = execution
        if execution.spec.is_gated:
            self._limits.introduce(execution)
        if self.quarantine:
            self.quarantine.introduce(execution, job)
        if execution.is_leased:
            self._live.by_fence[execution.fence] = execution
        elif execution.hold is not None:
            self.holds.add(execution)
        elif execution.state is State.PENDING:
            self._waiting.add(execution)
        elif execution.state in {State.SCHEDULED, State.RETRYING}:
            self._later.add(execution)

    def _begin_to_wait(self, execution: Execution) -> None:
        self.deadlines.watch(execution)

    def require_queue(self, name: str) -> None:
        """Refuse a queue that does not exist."""
        self._waiting.require(name)

    def next_due(self) -> int | None:
        """Return when the next execution that waits for its instant comes due."""
        return self._later.next_due()

    def come_due(self, draft: Draft) -> None:
        """Let executions whose instant has come wait for a slot."""
        self._later.come_due(draft)

    def lease(self, draft: Draft, session: Session, execution: Execution) -> None:
        """Give an execution that was taken from its queue to a worker."""
        try:
            work = resolve(execution.spec, execution.params)
        except UnresolvedError as error:
            result = Result(
                move=Move.FAIL, finished_at=draft.now, error=f"not started: {error}"
            )
            self._end(draft, execution, result)
            return
        execution.attempt += 1
        execution.fence = self._live.sequence.take()
        execution.phase = Phase.LEASED
        execution.session_id = session.id
        execution.worker_id = session.worker_id
        execution.worker = session.worker
        execution.leased_at = draft.now
        session.take(execution)
        if execution.spec.is_gated:
            self._limits.enter(execution, session)
        self._live.by_fence[execution.fence] = execution
        draft.note_moved(execution)
        draft.messages.append(
            LeaseGranted(
                session.id, execution, work, execution.fence, execution.attempt
            )
        )
        if execution.waited_for is not None:
            for reason, since in execution.waited_for.items():
                draft.note_event(
                    execution,
                    Event.WAITED,
                    reason=reason,
                    **{"from": since, "until": draft.now},
                )
            execution.waited_for = None
        if execution.attempt > 1:
            draft.note_event(
                execution,
                Event.LEASED,
                attempt=execution.attempt,
                fence=execution.fence,
                worker=execution.worker,
            )
        since = execution.waits_from
        if execution.retry is not None:
            since = max(since, execution.retry.due_at)
        waited = draft.now - since
        draft.facts.append(
            ExecutionLeased(execution, session.worker, execution.attempt, waited)
        )

    def start(self, draft: Draft, execution: Execution, at: int) -> None:
        """Note that the attempt has begun (or may begin, where a grant is needed)."""
        execution.started_at = at
        if execution.phase is Phase.STARTED:
            # The worker's own instant is finer than the grant's; it is written with
            # the end, since it alone is not worth a row.
            return
        execution.phase = Phase.STARTED
        if execution.state is State.PENDING:
            execution.move(Move.START)
        draft.note_moved(execution)
        draft.facts.append(
            ExecutionStarted(execution, execution.worker, execution.attempt)
        )

    def finish(self, draft: Draft, execution: Execution, result: Result) -> None:
        """Take the result of the current attempt, or of a lost one."""
        waits_on = execution.state in {State.PENDING, State.RUNNING}
        if result.never_began and execution.state is State.LOST:
            result = never_begun(execution, result)
        if waits_on:
            self._limits.breakers.judge(execution, result, draft.now)
        is_drained = self.is_drained(execution.worker_id)
        # Ended by its worker, which stops or is drained: nobody has asked for its end.
        is_given_back = (
            is_drained
            if result.never_began
            else result.move is Move.CANCEL and execution.may_run_twice
        )
        if is_given_back and waits_on:
            # Not by its own fault, so it counts for nothing.
            why = "was drained" if is_drained else f"has ended it: {result.error}"
            reason = f"worker {execution.worker} {why}"
            self._again.release(
                draft, execution, reason, may_have_begun=False, result=result
            )
        elif result.never_began and waits_on:
            reason = "the worker did not begin it"
            self._again.release(
                draft,
                execution,
                reason,
                may_have_begun=False,
                was_refused=True,
                result=result,
            )
        elif result.move is not Move.LOSE:
            told = explained(execution, result)
            if told.move is Move.TIME_OUT and not is_overdue(execution):
                which = "silence" if SILENT in told.error else "attempt"
                draft.note_event(execution, Event.TIMED_OUT, which=which)
            is_failure = result.move in {Move.FAIL, Move.TIME_OUT} and waits_on
            if not is_failure or not self._again.retry(draft, execution, told):
                self._end(draft, execution, told)
        elif execution.state is not State.LOST:
            is_poison = not result.never_began and self.quarantine.note_loss(
                draft, execution
            )
            if waits_on and execution.may_run_twice:
                self._give_again(draft, execution, result.error, is_poison, result)
            else:
                self._end(draft, execution, result)

    def take_back(
        self,
        draft: Draft,
        execution: Execution,
        reason: str,
        *,
        was_held: bool,
        has_left: bool = False,
    ) -> None:
        """End a lease whose worker is gone: release what may run (again), lose the rest.

        `was_held` is false where the worker came back and does not have it: most likely
        the lease never reached it. A worker that `has_left` was not lost to the job.
        """
        is_leased = execution.phase is Phase.LEASED
        never_began = is_leased and not execution.may_run_twice
        is_poison = False
        if not (has_left or never_began or (is_leased and not was_held)):
            is_poison = self.quarantine.note_loss(draft, execution)
        if execution.phase is Phase.STARTED:
            lost = Result(move=Move.LOSE, finished_at=draft.now)
            self._limits.breakers.judge(execution, lost, draft.now)
        if execution.state is State.CANCELLING and never_began:
            result = Result(move=Move.CANCEL, finished_at=draft.now)
            self._end(draft, execution, explained(execution, result))
        elif execution.state is State.CANCELLING:
            self._lose(draft, execution, f"{reason} while it was being cancelled")
        elif never_began or (is_leased and not was_held):
            self._again.release(draft, execution, reason, may_have_begun=False)
        elif execution.may_run_twice:
            self._give_again(draft, execution, reason, is_poison)
        else:
            self._lose(draft, execution, reason)

    def cancel(self, draft: Draft, execution: Execution, reason: str) -> None:
        """End what only waits; ask the worker to end what may run."""
        if execution.state is State.CANCELLING:
            return
        draft.note_event(execution, Event.CANCEL_ASKED, reason=reason)
        if not execution.is_leased:
            self._end(
                draft,
                execution,
                Result(move=Move.CANCEL, finished_at=draft.now, error=reason),
            )
            return
        self._ask_to_end(draft, execution, reason)

    def time_out(
        self, draft: Draft, execution: Execution, which: str, reason: str
    ) -> None:
        """End an execution that has reached a limit; see `deadlines`."""
        draft.note_event(execution, Event.TIMED_OUT, which=which, reason=reason)
        if execution.is_leased:
            self._ask_to_end(draft, execution, reason)
            return
        result = Result(move=Move.TIME_OUT, finished_at=draft.now, error=reason)
        self._end(draft, execution, result)

    def _ask_to_end(self, draft: Draft, execution: Execution, reason: str) -> None:
        execution.move(Move.ASK_CANCEL)
        execution.cancel_reason = reason
        draft.note_moved(execution)
        draft.messages.append(
            CancelWanted(execution.session_id, execution.fence, reason)
        )
        self.cancelling.watch(execution, draft.now)

    def give_up_cancelling(self, draft: Draft) -> None:
        """Declare the ends unknown that workers should have told long ago."""
        for execution in self.cancelling.overdue(draft.now):
            seconds = (execution.spec.cancel_grace + BOUND) / 1_000_000
            reason = (
                f"worker {execution.worker} did not tell how it ended within"
                f" {seconds:g}s of the cancel"
            )
            self._lose(draft, execution, reason)

    def _give_again(
        self,
        draft: Draft,
        execution: Execution,
        reason: str,
        is_poison: bool,
        result: Result | None = None,
    ) -> None:
        """Give an attempt that was lost to another worker, unless that is a habit."""
        if is_poison:
            self._lose(draft, execution, f"{reason}; its job is quarantined", result)
        elif not self._again.release(
            draft, execution, reason, may_have_begun=True, result=result
        ):
            reason = f"{reason}; given up after {LOSSES} of these"
            self._lose(draft, execution, reason, result)

    def _lose(
        self,
        draft: Draft,
        execution: Execution,
        reason: str,
        told: Result | None = None,
    ) -> None:
        """End what nobody knows the end of; its worker may have `told` how it was killed."""
        draft.note_event(
            execution,
            Event.LOST,
            attempt=execution.attempt,
            fence=execution.fence,
            worker=execution.worker,
            reason=reason,
        )
        execution.lost_at = draft.now
        self._live.lost[execution.fence] = execution
        result = told or Result(move=Move.LOSE, finished_at=draft.now)
        error = f"its end is not known: {reason}"
        self._end(draft, execution, result._replace(move=Move.LOSE, error=error))

    def _end(self, draft: Draft, execution: Execution, result: Result) -> None:
        was_lost = execution.state is State.LOST
        execution.move(result.move)
        if result.started_at is not None:
            execution.started_at = result.started_at
        draft.note_ended(execution, result)
        self._again.drop_lease(execution)
        self.holds.drop(draft, execution)
        if execution.gates:
            self._limits.forget(execution)
        self._live.executions.pop(execution.id, None)
        if was_lost:
            self._live.lost.pop(execution.fence, None)
            self.quarantine.forgive(execution)
            draft.note_event(
                execution,
                Event.RESOLVED,
                attempt=execution.attempt,
                fence=execution.fence,
                worker=execution.worker,
                state=execution.state.value,
            )
        self._count(draft, execution, result, was_lost=was_lost)
        draft.facts.append(
            ExecutionFinished(
                execution,
                execution.state,
                execution.worker,
                execution.attempt,
                execution.started_at,
                result,
                was_lost,
            )
        )
        if execution.spec.has_follow_ups or was_lost or execution.state is State.LOST:
            self.follow_ups.after(draft, execution, result, was_lost=was_lost)

    def _count(
        self, draft: Draft, execution: Execution, result: Result, *, was_lost: bool
    ) -> None:
        queue = self._waiting.queues[execution.queue]
        queue.completed += execution.state is State.SUCCEEDED
        # A lost one has been counted as a failure.
        queue.failed += (execution.state in FAILURES) - was_lost
        draft.queues[queue.name] = queue
        job = self._live.job_of(execution)
        if job is None:
            return
        job.active.pop(execution.seq, None)
        if self.holds:
            settle(draft, self.holds, job)
        count = job.recount if was_lost else job.count
        count(execution.state, ended_at=result.finished_at, error=result.error)
        draft.statistics[job.job_id] = job
        if job.spec.pause_after_failures or job.failures_in_a_row:
            self.on_counted(draft, job, execution)
