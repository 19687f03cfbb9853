"""Pauses as they begin and end: by hand, by their time, by failures, by lost workers.

The end of a pause and the decisions on its due times are one commit, so no due time can
be decided by two of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs_grpc.controlplane.core.rows.changes import FailureStreakRow
from jobs_grpc.controlplane.core.schedules.definitions import Definitions
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import PauseBegan, PauseEnded
from jobs_grpc.controlplane.core.state.errors import (
    InvalidError,
    PauseNotFoundError,
    ScheduleNotFoundError,
)
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.inputs import BeginPause, EndPauses
from jobs_grpc.controlplane.core.state.live import Job, Live, Schedule
from jobs_grpc.controlplane.core.state.pauses import (
    Meanwhile,
    Pause,
    PauseKind,
    Pauses,
    Scope,
)
from jobs_grpc.controlplane.core.state.states import FAILURES, State
from jobs_grpc.controlplane.core.waiting.lines import Waiting
from jobs_grpc.controlplane.core.waiting.quarantine import Quarantine

from .deciding import Decider

AUTOMATIC = "pause_after_failures"


class Pausing:
    """Begins and ends the pauses of a term."""

    def __init__(
        self,
        live: Live,
        waiting: Waiting,
        definitions: Definitions,
        decider: Decider,
        pauses: Pauses,
        quarantine: Quarantine,
    ) -> None:
        self._live = live
        self._waiting = waiting
        self._definitions = definitions
        self._decider = decider
        self._pauses = pauses
        self._quarantine = quarantine
        quarantine.begin = self._begin

    def restore(self, pause: Pause) -> None:
        """Take over a pause of an earlier term, before the first step."""
        self._pauses.add(pause)
        self._apply(pause.scope)

    def begin(self, draft: Draft, request: BeginPause) -> Pause:
        """Put something on hold; refuse what does not exist."""
        if request.until is not None and request.until <= draft.now:
            raise InvalidError(
                "a pause cannot end in the past",
                hint="give a later instant, or leave it out: `resume` ends the pause",
                field="until",
            )
        scope = self._existing(request.scope)
        if scope.kind is PauseKind.QUEUE and request.meanwhile is not Meanwhile.DROP:
            raise InvalidError(
                f'"{request.meanwhile.value}" has no meaning for a queue: its runs wait',
                hint="leave it out",
                field="meanwhile",
            )
        pause = Pause(
            id=request.id,
            scope=scope,
            note=request.note,
            who=request.who,
            since=draft.now,
            until=request.until,
            meanwhile=request.meanwhile,
        )
        self._begin(draft, pause)
        return pause

    def end(self, draft: Draft, request: EndPauses) -> tuple[Pause, ...]:
        """End one pause by its id, or all of exactly one scope."""
        if request.pause_id:
            pause = self._pauses.get(request.pause_id)
            found: tuple[Pause, ...] = (pause,) if pause is not None else ()
            subject = f"pause {request.pause_id}"
        else:
            assert request.scope is not None
            scope = self._existing(request.scope)
            found = self._pauses.of(scope)
            subject = describe(scope)
        if not found:
            raise PauseNotFoundError(
                f"{subject} is not paused"
                if not request.pause_id
                else f"{subject} is not in force",
                hint="`jobs-grpc pause list` shows the pauses",
            )
        for one in found:
            self._end(draft, one, draft.now, request.who)
        return found

    def expire(self, draft: Draft) -> None:
        """End the pauses whose time is up, in the order of their ends."""
        if not self._pauses:
            return
        over = [
            (one.until, one)
            for one in self._pauses
            if one.until is not None and one.until <= draft.now
        ]
        for until, pause in sorted(over, key=lambda pair: (pair[0], pair[1].id)):
            # A due time at the very instant of the end is not paused any more.
            self._end(draft, pause, until - 1, "")

    def forget_job(self, draft: Draft, job: Job) -> None:
        """End the pauses of a job that is deleted: another of its name begins anew."""
        key = job.spec.key
        for pause in self._pauses:
            of_job = pause.scope.kind in {PauseKind.JOB, PauseKind.SCHEDULE}
            if of_job and pause.scope.job_key == key:
                self._pauses.remove(pause)
                self._apply(pause.scope)
                draft.pauses[pause.id] = pause.row(
                    ended_at=draft.now, ended_by="the job was deleted"
                )

    def note_end(self, draft: Draft, job: Job, execution: Execution) -> None:
        """Count failures in a row; pause the job when there are as many as it says."""
        if execution.state is State.CANCELLED:
            return
        failures = job.failures_in_a_row + 1 if execution.state in FAILURES else 0
        limit = job.spec.pause_after_failures
        scope = Scope(PauseKind.JOB, *job.spec.key)
        is_paused = any(one.who == AUTOMATIC for one in self._pauses.of(scope))
        if limit and failures >= limit and not is_paused:
            failures = 0
            self._begin(
                draft,
                Pause(
                    id=f"failures-{execution.id}",
                    scope=scope,
                    note=f"{limit} failures in a row",
                    who=AUTOMATIC,
                    since=draft.now,
                    until=None,
                    meanwhile=Meanwhile.DROP,
                ),
            )
        if failures != job.failures_in_a_row:
            job.failures_in_a_row = failures
            draft.failure_streaks[job.job_id] = FailureStreakRow(job.job_id, failures)

    def _begin(self, draft: Draft, pause: Pause) -> None:
        self._pauses.add(pause)
        self._apply(pause.scope)
        draft.pauses[pause.id] = pause.row()
        draft.facts.append(PauseBegan(pause))

    def _end(self, draft: Draft, pause: Pause, end: int, who: str) -> None:
        """End a pause; its due times up to `end` are decided as it says."""
        self._pauses.remove(pause)
        self._apply(pause.scope)
        draft.pauses[pause.id] = pause.row(
            ended_at=draft.now if who else pause.until, ended_by=who
        )
        for schedule in self._schedules_of(pause.scope):
            following = self._pauses.over(schedule)
            if following is None:
                self._decider.leave_pause(draft, schedule, pause, end)
            elif following.meanwhile is Meanwhile.DROP:
                self._decider.leave_pause(draft, schedule, following, end)
        draft.facts.append(PauseEnded(pause, who))

    def _apply(self, scope: Scope) -> None:
        """Have what is not a due time stand still, or not any more."""
        if scope.kind is PauseKind.JOB:
            self._quarantine.follow(scope.job_key, self._pauses.of(scope))
        if scope.kind is PauseKind.QUEUE:
            queue = self._waiting.queues.get(scope.queue)
            if queue is not None:
                queue.is_paused = bool(self._pauses.of(scope))

    def _schedules_of(self, scope: Scope) -> Iterator[Schedule]:
        if scope.kind is PauseKind.QUEUE:
            return
        if scope.job:
            job = self._live.jobs.get(scope.job_key)
            jobs = [] if job is None else [job]
        else:
            jobs = list(self._jobs_of(scope))
        for job in jobs:
            for schedule in tuple(job.schedules.values()):
                if scope.schedule in {"", schedule.spec.id}:
                    yield schedule

    def _jobs_of(self, scope: Scope) -> Iterator[Job]:
        for (namespace, workspace, _), job in self._live.jobs.items():
            if scope.namespace in {"", namespace} and scope.workspace in {
                "",
                workspace,
            }:
                yield job

    def _existing(self, scope: Scope) -> Scope:
        """Return the scope with a schedule's id in it; refuse one of nothing."""
        match scope.kind:
            case PauseKind.JOB:
                self._definitions.require(scope.job_key)
            case PauseKind.QUEUE:
                self._waiting.require(scope.queue)
            case PauseKind.SCHEDULE:
                return self._schedule_scope(scope)
            case PauseKind.WORKSPACE | PauseKind.NAMESPACE:
                if next(self._jobs_of(scope), None) is None:
                    raise InvalidError(
                        f"{describe(scope)} has no jobs",
                        hint="`jobs-grpc list` shows the jobs and where they are",
                        field=scope.kind.value,
                    )
        return scope

    def _schedule_scope(self, scope: Scope) -> Scope:
        wanted = scope.schedule
        if scope.job:
            jobs = [self._definitions.require(scope.job_key)]
        else:
            jobs = list(self._jobs_of(scope))
        for job in jobs:
            for schedule in job.schedules.values():
                spec = schedule.spec
                if wanted == spec.id or (scope.job and wanted == spec.name):
                    return Scope(PauseKind.SCHEDULE, *job.spec.key, spec.id)
        of = f' of job "{scope.job}"' if scope.job else ""
        raise ScheduleNotFoundError(
            f'schedule "{wanted}"{of} not found',
            hint="name the job and the schedule, or the schedule's id alone;"
            " `jobs-grpc job get JOB` shows both",
        )


def describe(scope: Scope) -> str:
    """Return how a scope is named to people."""
    match scope.kind:
        case PauseKind.SCHEDULE:
            return f'schedule {scope.schedule} of job "{scope.job}"'
        case PauseKind.JOB:
            return f'job "{scope.job}"'
        case PauseKind.QUEUE:
            return f'queue "{scope.queue}"'
        case PauseKind.WORKSPACE:
            return f'workspace "{scope.workspace}"'
        case PauseKind.NAMESPACE:
            return f'namespace "{scope.namespace}"'
    return "everything"
