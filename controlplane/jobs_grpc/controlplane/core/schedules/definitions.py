"""Definitions as they change: applied, removed, switched on and off.

A change is judged whole before anything moves. Schedules keep their id, and with it their
cursor, as long as their rule means the same, so an edit never fires retroactively and
never fires a due time twice.
"""

from __future__ import annotations

from collections.abc import Callable

from jobs_grpc.controlplane.core.rows.changes import RevisionRow
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import JobApplied, JobDeleted
from jobs_grpc.controlplane.core.state.errors import (
    InvalidError,
    JobNotFoundError,
    RefusedError,
    ScheduleExistsError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    Applied,
    ApplyJobs,
    DeleteJob,
    SetJobEnabled,
)
from jobs_grpc.controlplane.core.state.job import (
    STANDALONE,
    JobKey,
    JobSpec,
    ScheduleSpec,
)
from jobs_grpc.controlplane.core.state.live import Job, Live, Schedule
from jobs_grpc.controlplane.core.state.schedule_object import ScheduleObject
from jobs_grpc.controlplane.core.waiting.lines import Waiting
from jobs_grpc.schedule import Rule

from .bounds import check_future, note_count
from .events import check_apply, check_put
from .joins import check_known, prune
from .timeline import Timeline


def job_name(key: JobKey) -> str:
    """Return how a job is named to people."""
    namespace, workspace, name = key
    where = "" if workspace == STANDALONE else f"{workspace}/"
    return f'"{namespace}/{where}{name}"'


class Definitions:
    """The jobs of a term."""

    def __init__(self, live: Live, timeline: Timeline, waiting: Waiting) -> None:
        self._live = live
        self._timeline = timeline
        self._waiting = waiting
        # Hears of a schedule that goes away before it is gone.
        self.on_drop: Callable[[Draft, Schedule], None] = lambda _draft, _schedule: None

    def require(self, key: JobKey) -> Job:
        job = self._live.jobs.get(key)
        if job is None:
            raise JobNotFoundError(
                f"job {job_name(key)} not found", hint="`jobs-grpc list` shows the jobs"
            )
        return job

    def apply(self, draft: Draft, request: ApplyJobs) -> tuple[Applied, ...]:
        """Create and update; refuse the whole request if one part cannot stand."""
        self._check(request.specs, draft.now)
        if request.validate_only:
            return tuple(self._foresee(spec) for spec in request.specs)
        return tuple(
            self._apply_one(draft, spec, source)
            for spec, source in zip(request.specs, request.sources, strict=True)
        )

    def delete(self, draft: Draft, request: DeleteJob) -> None:
        if self._drop_unreadable(draft, request.key):
            return
        job = self.require(request.key)
        for schedule in tuple(job.schedules.values()):
            self.drop_schedule(draft, job, schedule)
        del self._live.jobs[request.key]
        draft.deleted_jobs.append(job.job_id)
        draft.jobs.pop(job.job_id, None)
        draft.statistics.pop(job.job_id, None)
        draft.joins.pop(job.job_id, None)
        draft.facts.append(JobDeleted(request.key))

    def set_enabled(self, draft: Draft, request: SetJobEnabled) -> None:
        job = self.require(request.key)
        if job.enabled == request.enabled:
            return
        job.override = request.enabled
        job.updated_at = draft.now
        draft.jobs[job.job_id] = job.row()
        outcome = "enabled" if request.enabled else "disabled"
        draft.facts.append(JobApplied(request.key, outcome, job.revision))

    def _check(self, specs: tuple[JobSpec, ...], now: int) -> None:
        seen: set[JobKey] = set()
        for spec in specs:
            if spec.key in seen:
                raise InvalidError(
                    f"job {job_name(spec.key)} is defined twice in one request",
                    hint="give one of them another name",
                    field="name",
                )
            seen.add(spec.key)
            self._check_names(spec)
            job = self._live.jobs.get(spec.key)
            known = job.schedules if job is not None else {}
            for one in spec.schedules:
                check_future(one, known.get(one.id), now, job_name(spec.key))
            try:
                self._waiting.require(spec.queue)
            except RefusedError as error:
                error.message = f"job {job_name(spec.key)}: {error.message}"
                raise
        check_known(self._live, specs)
        check_apply(self._live, specs)

    def check_circle(self, key: JobKey, spec: ScheduleSpec) -> None:
        """Refuse a schedule with which a job would cause itself."""
        check_put(self._live, key, spec)

    def _check_names(self, spec: JobSpec) -> None:
        """Refuse a document that names a schedule as one of the API's is named."""
        job = self._live.jobs.get(spec.key)
        for schedule in spec.schedules if job is not None else ():
            known = job.schedules.get(schedule.id) if job is not None else None
            if known is not None and not known.is_of_document:
                raise ScheduleExistsError(
                    f'job {job_name(spec.key)} has a schedule "{schedule.name}" that'
                    " was made through the API",
                    hint=f"`jobs-grpc schedule delete {spec.name} {schedule.name}`, or"
                    " give it another name in the document",
                    field="schedule",
                )

    def _foresee(self, spec: JobSpec) -> Applied:
        job = self._live.jobs.get(spec.key)
        if job is None:
            return Applied(spec.key, "created", 1)
        if job.spec.document_json == spec.document_json:
            return Applied(spec.key, "unchanged", job.revision)
        return Applied(spec.key, "updated", job.revision + 1)

    def _apply_one(self, draft: Draft, spec: JobSpec, source: str) -> Applied:
        applied = self._foresee(spec)
        job = self._live.jobs.get(spec.key)
        if job is None:
            self._drop_unreadable(draft, spec.key)
            job = Job(
                job_id=self._live.sequence.take(),
                spec=spec,
                revision=1,
                override=None,
                source=source,
                created_at=draft.now,
                updated_at=draft.now,
            )
            self._live.jobs[spec.key] = job
        elif applied.outcome == "unchanged" and job.source == source:
            return applied
        elif applied.outcome == "updated":
            job.spec = spec
            job.revision += 1
            job.override = None
            job.updated_at = draft.now
        job.source = source
        draft.jobs[job.job_id] = job.row()
        self._align_schedules(draft, job)
        prune(draft, job)
        if applied.outcome != "unchanged":
            draft.revisions.append(
                RevisionRow(job.job_id, job.revision, spec.document_json, draft.now)
            )
            draft.facts.append(JobApplied(spec.key, applied.outcome, job.revision))
        return applied

    def _align_schedules(self, draft: Draft, job: Job) -> None:
        wanted = {spec.id: spec for spec in job.spec.schedules}
        rules = {spec.rule for spec in wanted.values()}
        # A rule that only got another name goes on where it was.
        cursors: dict[Rule, int] = {}
        # What was said by `enable` and `disable` stays said.
        objects: dict[str, ScheduleObject | None] = {}
        for schedule in tuple(job.schedules.values()):
            if not schedule.is_of_document:
                continue
            spec = wanted.get(schedule.spec.id)
            if spec is None or spec.rule != schedule.spec.rule:
                cursors[schedule.spec.rule] = schedule.cursor
                objects[schedule.spec.id] = schedule.object
                goes_on = schedule.spec.rule in rules
                self.drop_schedule(draft, job, schedule, goes_on=goes_on)
            else:
                schedule.spec = spec
        for spec in wanted.values():
            if spec.id not in job.schedules:
                cursor = cursors.get(spec.rule, draft.now)
                schedule = Schedule(
                    job=job, spec=spec, cursor=cursor, object=objects.get(spec.id)
                )
                self.add_schedule(draft, job, schedule)

    def _drop_unreadable(self, draft: Draft, key: JobKey) -> bool:
        job_id = self._live.unreadable.pop(key, None)
        if job_id is not None:
            draft.deleted_jobs.append(job_id)
            draft.facts.append(JobDeleted(key))
        return job_id is not None

    def add_schedule(self, draft: Draft, job: Job, schedule: Schedule) -> None:
        """Let a schedule of a job come due after now."""
        id_ = schedule.spec.id
        job.schedules[id_] = schedule
        draft.schedules[id_] = schedule.row()
        draft.deleted_schedules.pop(id_, None)
        note_count(draft, schedule)
        if schedule.object is not None:
            draft.schedule_objects[id_] = schedule.object.row(id_, job.job_id)
        self._timeline.add(schedule, draft.now)

    def drop_schedule(
        self, draft: Draft, job: Job, schedule: Schedule, *, goes_on: bool = False
    ) -> None:
        """Take a schedule away from its job; its rule may go on under another name."""
        id_ = schedule.spec.id
        if not goes_on:
            self.on_drop(draft, schedule)
        self._timeline.remove(schedule)
        del job.schedules[id_]
        draft.schedules.pop(id_, None)
        draft.cursors.pop(id_, None)
        draft.counts.pop(id_, None)
        draft.deleted_schedules[id_] = None
        if schedule.object is not None:
            draft.schedule_objects[id_] = None
