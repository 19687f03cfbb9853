"""The core: one state machine, stepped.

    inputs, now ──► step ──► changes (to commit), messages and facts (after the commit)

In a step time moves first (what is due is decided), then the inputs are taken in order,
then free slots are filled. A refused input has changed nothing; the others of its step
stand. After a failed commit the core is thrown away: it is rebuilt from the store, never
repaired.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jobs_grpc.controlplane.core.answers.delays import Delays
from jobs_grpc.controlplane.core.answers.explaining import Explainer, Explanation
from jobs_grpc.controlplane.core.decisions.backfilling import Backfills
from jobs_grpc.controlplane.core.decisions.deciding import Decider
from jobs_grpc.controlplane.core.decisions.pausing import Pausing
from jobs_grpc.controlplane.core.decisions.targets import Targets
from jobs_grpc.controlplane.core.executions.lifecycle import Executions
from jobs_grpc.controlplane.core.executions.overlap import settle
from jobs_grpc.controlplane.core.fleet.sessions import LOST_KEPT, SESSION_TTL, Fleet
from jobs_grpc.controlplane.core.fleet.tending import Tending
from jobs_grpc.controlplane.core.rows.fleet import BreakerRow, OrderRow
from jobs_grpc.controlplane.core.schedules.definitions import Definitions, job_name
from jobs_grpc.controlplane.core.schedules.schedule_objects import ScheduleObjects
from jobs_grpc.controlplane.core.schedules.timeline import Timeline
from jobs_grpc.controlplane.core.schedules.zones import Zones
from jobs_grpc.controlplane.core.state.backfill import Backfill
from jobs_grpc.controlplane.core.state.breakers import Breaker
from jobs_grpc.controlplane.core.state.draft import Draft, Step
from jobs_grpc.controlplane.core.state.errors import (
    ExecutionNotFoundError,
    NotRunningError,
    RefusedError,
)
from jobs_grpc.controlplane.core.state.execution import Execution, Origin
from jobs_grpc.controlplane.core.state.inputs import (
    ApplyJobs,
    Beat,
    BeginBackfill,
    BeginPause,
    Cancel,
    ChangeBackfill,
    CloseSession,
    CordonWorker,
    DeleteJob,
    DeleteSchedule,
    DrainWorker,
    EndPauses,
    Explain,
    Input,
    LabelWorker,
    ListBreakers,
    OpenSession,
    PurgeDeadLetters,
    PutSchedule,
    Reports,
    ResetBreaker,
    RunAgain,
    SetJobEnabled,
    SetScheduleEnabled,
    StreamClosed,
    Submission,
    Submit,
    TripBreaker,
    UncordonWorker,
)
from jobs_grpc.controlplane.core.state.job import JobKey, ScheduleSpec
from jobs_grpc.controlplane.core.state.live import (
    Job,
    Live,
    Schedule,
    Sequence,
    Session,
)
from jobs_grpc.controlplane.core.state.pauses import Pause, Pauses
from jobs_grpc.controlplane.core.state.schedule_object import ScheduleObject
from jobs_grpc.controlplane.core.state.states import State
from jobs_grpc.controlplane.core.waiting.lines import Waiting

# Repeated request ids are recognized at least this long back, beside what the store knows.
_REQUESTS_KEPT: Final = 100_000


class Core:
    """The state of one term and how it moves."""

    def __init__(
        self, *, term: int, session_ttl: int = SESSION_TTL, promised_ttl: str = ""
    ) -> None:
        self.term = term
        self.live = Live(sequence=Sequence(term))
        self.waiting = Waiting()
        self.timeline = Timeline()
        self.zones = Zones()
        self._executions = Executions(self.live, self.waiting)
        self._definitions = Definitions(self.live, self.timeline, self.waiting)
        schedules = ScheduleObjects(self._definitions)
        self.pauses = Pauses()
        self._targets = Targets(self.live)
        self._decider = Decider(
            self.live,
            self.timeline,
            self._executions,
            self.pauses,
            self._targets,
        )
        self._definitions.on_drop = self._decider.drop
        self._pausing = Pausing(
            self.live,
            self.waiting,
            self._definitions,
            self._decider,
            self.pauses,
            self._executions.quarantine,
        )
        self._executions.on_counted = self._pausing.note_end
        self._fleet = Fleet(
            self.live,
            self._executions,
            self.waiting,
            session_ttl=session_ttl,
            promised_ttl=promised_ttl,
        )
        self.backfills = Backfills(self.live, self._executions, self._definitions)
        self._explainer = Explainer(
            self.live, self.waiting, self._executions.holds, self.pauses
        )
        self._delays = Delays(self.waiting, self._explainer)
        self._breakers = self.waiting.limits.breakers
        self._tending = Tending(self.live, self._executions)
        self._is_new = True
        # Workers with a stream and perhaps a free slot, in the order of their turn.
        self._turns: deque[Session] = deque()
        self._take: Mapping[type, Callable[[Draft, Any], object]] = {
            ApplyJobs: self._definitions.apply,
            DeleteJob: self._delete,
            SetJobEnabled: self._definitions.set_enabled,
            PutSchedule: schedules.put,
            DeleteSchedule: schedules.delete,
            SetScheduleEnabled: schedules.set_enabled,
            BeginPause: self._pausing.begin,
            EndPauses: self._pausing.end,
            BeginBackfill: self.backfills.create,
            ChangeBackfill: self.backfills.change,
            Submit: self._submit,
            RunAgain: self._executions.follow_ups.run_again,
            PurgeDeadLetters: self._executions.follow_ups.purge,
            Cancel: self._cancel,
            Explain: self._explain,
            ListBreakers: self._list_breakers,
            TripBreaker: self._trip_breaker,
            ResetBreaker: self._reset_breaker,
            CordonWorker: self._tending.cordon,
            UncordonWorker: self._tending.uncordon,
            DrainWorker: self._tending.drain,
            LabelWorker: self._tending.label,
            OpenSession: self._open_session,
            Beat: self._fleet.beat,
            StreamClosed: self._fleet.close_stream,
            CloseSession: self._fleet.close,
            Reports: self._fleet.report,
        }

    def step(self, inputs: Iterable[Input], now: int) -> Step:
        """Move to `now`, take the inputs, fill free slots."""
        draft = Draft(now=now, sequence=self.live.sequence)
        self.waiting.limits.now = now
        self._pausing.expire(draft)
        if self._is_new:
            self._targets.begin(now + self._fleet.time.owed)
            self._decider.recover(draft)
            for job in self.live.jobs.values():
                for schedule in job.schedules.values():
                    self.timeline.add(schedule, now)
                if self._executions.holds:
                    settle(draft, self._executions.holds, job)
            self.zones.note(draft, len(self.timeline))
            self._is_new = False
        self._breakers.come_due(self.live, now)
        self._tending.come_due(draft)
        self._decider.advance(draft)
        self._executions.come_due(draft)
        self._executions.deadlines.advance(draft)
        self._executions.give_up_cancelling(draft)
        self._fleet.watch(draft)
        # Before the inputs: they may end what kept the lines waiting.
        self._delays.look(now)
        for one in inputs:
            try:
                draft.replies.append(self._take[type(one)](draft, one))
            except RefusedError as error:
                draft.replies.append(error)
        self._place(draft)
        while self._follow(draft):
            self._place(draft)
        self.timeline.alarms.ended(draft.statistics.values())
        self._breakers.note(draft, self.live)
        wake_at = draft.now if self.backfills.is_eager else self._wake_at()
        return draft.freeze(wake_at, session_ttl=self._fleet.time.current)

    def _follow(self, draft: Draft) -> bool:
        """Let what has ended have its consequences; say whether anything new may wait."""
        listeners = self.timeline.listeners
        caused = bool(listeners) and listeners.follow(draft, self._decider)
        filled = bool(self.backfills) and self.backfills.follow(draft)
        return caused or filled

    def require_job(self, key: JobKey) -> Job:
        """Return a live job, or raise `JobNotFoundError`."""
        return self._definitions.require(key)

    def restore_job(
        self,
        job: Job,
        cursors: Mapping[str, int],
        now: int,
        objects: Iterable[tuple[ScheduleSpec, ScheduleObject]] = (),
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Take over a job of an earlier term, before the first step.

        `objects` are its schedules that the API made or switched, `counts` how many
        executions schedules have started, by their id.
        """
        said = {spec.id: (spec, one) for spec, one in objects}
        found = [
            (spec, said.pop(spec.id, (spec, None))[1]) for spec in job.spec.schedules
        ]
        for spec, one in [*found, *said.values()]:
            job.schedules[spec.id] = Schedule(
                job=job,
                spec=spec,
                cursor=cursors.get(spec.id, now),
                object=one,
                started=counts.get(spec.id, 0) if counts else 0,
            )
        self.live.jobs[job.spec.key] = job

    def restore_pause(self, pause: Pause) -> None:
        """Take over a pause of an earlier term, before the first step."""
        self._pausing.restore(pause)

    def restore_order(self, row: OrderRow) -> None:
        """Take over what was said about a worker, before the first step."""
        self._tending.restore(row)

    def restore_breaker(self, row: BreakerRow) -> None:
        """Take over a circuit breaker of an earlier term, before the executions."""
        self._breakers.restore(Breaker.of_row(row))

    def restore_execution(self, execution: Execution, now: int) -> None:
        """Take over an execution of an earlier term, before the first step."""
        if execution.state is State.LOST:
            if execution.lost_at is not None and now - execution.lost_at > LOST_KEPT:
                return
            self.live.lost[execution.fence] = execution
            return
        job = self.live.job_of(execution)
        if job is None:
            # Nobody is left who would let it go.
            execution.hold = None
        self._executions.admit(execution, job)
        if execution.is_leased:
            self._fleet.restore(execution, now)
            if execution.state is State.CANCELLING:
                self._executions.cancelling.watch(execution, now)
        if execution.request_id:
            namespace = execution.spec.namespace
            self.live.requests[(namespace, execution.request_id)] = execution.id

    def restore_superseded(self, fences: Iterable[tuple[int, int]]) -> None:
        """Take over (execution number, fence) of attempts that others have followed."""
        of_seq = {one.seq: one for one in self.live.executions.values()}
        for seq, fence in fences:
            if seq in of_seq:
                self.live.supersede(of_seq[seq], fence)

    def restore_backfill(
        self, backfill: Backfill, started: Iterable[tuple[str, int]]
    ) -> None:
        """Take over a backfill of an earlier term, after jobs and executions."""
        self.backfills.restore(backfill, started)

    def _delete(self, draft: Draft, request: DeleteJob) -> None:
        """Remove a definition. What it runs goes on; what was held for it, ends."""
        job = self.live.jobs.get(request.key)
        if job is not None:
            self.backfills.drop_job(draft, job)
        for execution in tuple(job.active.values()) if job else ():
            is_kept = self._executions.quarantine.keeps(execution)
            if execution.hold is not None or is_kept:
                self._executions.cancel(draft, execution, "the job was deleted")
        if job is not None:
            self._breakers.drop_job(job.spec, draft.now)
        self._definitions.delete(draft, request)
        if job is not None:
            self._pausing.forget_job(draft, job)

    def _submit(self, draft: Draft, request: Submit) -> tuple[str, ...]:
        jobs: dict[str, Job] = {}
        for one in request.submissions:
            if one.spec is not None:
                self.waiting.require(one.spec.queue)
            elif one.name not in jobs:
                key = (request.namespace, request.workspace, one.name)
                jobs[one.name] = self._definitions.require(key)
        trigger, requested_by = request.trigger, request.requested_by
        create, now = self._executions.create, draft.now
        ids = []
        for one in request.submissions:
            known = self._known_request(request.namespace, one)
            if known is None:
                job = jobs.get(one.name)
                spec = one.spec if job is None else job.spec
                assert spec is not None
                due = max(one.not_before or now, now)
                create(
                    draft,
                    spec,
                    job,
                    one.params,
                    Origin(one.id, trigger, requested_by, due, "", one.request_id),
                )
            ids.append(known or one.id)
        requests = self.live.requests
        while len(requests) > _REQUESTS_KEPT:
            requests.popitem(last=False)
        return tuple(ids)

    def _known_request(self, namespace: str, one: Submission) -> str | None:
        """Return the execution that this request id has created, or remember it."""
        if one.request_id is None:
            return None
        first = self.live.requests.setdefault((namespace, one.request_id), one.id)
        return None if first is one.id else first

    def _cancel(self, draft: Draft, request: Cancel) -> tuple[str, ...]:
        if request.job is not None:
            job = self._definitions.require(request.job)
            found = tuple(job.active.values())
            if not found:
                raise NotRunningError(
                    f"job {job_name(request.job)} is not running",
                    hint=f"`jobs-grpc execution list --job {job.spec.name}` shows its runs",
                )
        else:
            execution = self.live.executions.get(request.execution_id)
            if execution is None:
                raise NotRunningError(
                    f"execution {request.execution_id} is not running: it has ended",
                    hint=f"`jobs-grpc execution get {request.execution_id}` shows how",
                )
            if execution.spec.namespace != request.namespace:
                raise ExecutionNotFoundError(
                    f"execution {request.execution_id} not found",
                    hint="`jobs-grpc execution list` shows the executions",
                )
            found = (execution,)
        for execution in found:
            self._executions.cancel(draft, execution, request.reason)
        return tuple(execution.id for execution in found)

    def _explain(self, _draft: Draft, request: Explain) -> Explanation | None:
        execution = self.live.executions.get(request.execution_id)
        return None if execution is None else self._explainer.explain(execution)

    def _list_breakers(
        self, _draft: Draft, request: ListBreakers
    ) -> tuple[BreakerRow, ...]:
        found = self._breakers.visible(self.live, request.namespace)
        return tuple(one.row() for one in found)

    def _trip_breaker(self, draft: Draft, request: TripBreaker) -> BreakerRow:
        return self._breakers.trip(self.live, draft.now, request).row()

    def _reset_breaker(self, draft: Draft, request: ResetBreaker) -> BreakerRow:
        return self._breakers.reset(self.live, draft.now, request).row()

    def _open_session(self, draft: Draft, hello: OpenSession) -> str:
        session = self._fleet.open(draft, hello)
        self._tending.attach(draft, session)
        if not session.has_turn:
            session.has_turn = True
            self._turns.append(session)
        return session.id

    def _place(self, draft: Draft) -> None:
        """Fill free slots; workers take turns, so that equal ones share alike."""
        if not self.waiting:
            return
        waiting, lease = self.waiting, self._executions.lease
        turns = self._turns
        done: list[Session] = []
        while turns:
            session = turns.popleft()
            free = session.free_slots
            while free > 0:
                execution = waiting.take(session)
                if execution is None:
                    free = 0
                    break
                lease(draft, session, execution)
                # One that cannot be filled in has ended, and has left its slot free.
                free = session.free_slots
                if turns:
                    break
            if free > 0:
                turns.append(session)
            elif session.stream is not None:
                done.append(session)
            else:
                session.has_turn = False
        turns.extend(done)

    def next_event(self) -> int | None:
        """Return when something comes due; for those who step without a clock.

        Not the look at silent workers, which alone would be a step for every second.
        """
        times = (
            self.timeline.next_due(),
            self.timeline.alarms.next_due(),
            self.pauses.next_end() if self.pauses else None,
            self._executions.next_due(),
            self._executions.deadlines.next_due(),
            self._breakers.next_due(),
            self._executions.cancelling.next_due(),
            self._tending.next_due(),
        )
        return min((time for time in times if time is not None), default=None)

    def _wake_at(self) -> int | None:
        times = (self.next_event(), self._fleet.next_watch())
        return min((time for time in times if time is not None), default=None)
