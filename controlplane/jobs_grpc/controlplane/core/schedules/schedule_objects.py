"""Schedules as objects: made, changed, switched and removed one by one.

A schedule belongs to the job's document or to the API. Documents own theirs whole: here
they can only be switched, and what was said so outlives the next apply. A change of the
rule puts the cursor to now, so whatever came due under the old rule stays decided as it
was, and nothing is due twice or in hindsight.
"""

from __future__ import annotations

from dataclasses import replace

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.errors import (
    InvalidError,
    RevisionMismatchError,
    ScheduleExistsError,
    ScheduleNotFoundError,
    ScheduleOwnedError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    DeleteSchedule,
    PutSchedule,
    SetScheduleEnabled,
)
from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.controlplane.core.state.schedule_object import ScheduleObject
from jobs_grpc.schedule import format_instant

from .bounds import check_future
from .definitions import Definitions, job_name


def find_schedule(job: Job, name: str) -> Schedule:
    """Return the schedule of a job that a name or an id means."""
    found = job.schedules.get(name)
    if found is None:
        for schedule in job.schedules.values():
            if name and schedule.spec.name == name:
                return schedule
        raise ScheduleNotFoundError(
            f'job {job_name(job.spec.key)} has no schedule "{name}"',
            hint=f"`jobs-grpc schedule list {job.spec.name}` shows them",
            field="schedule",
        )
    return found


class ScheduleObjects:
    """The part of a term's definitions that concerns single schedules."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def put(self, draft: Draft, request: PutSchedule) -> Schedule:
        """Create, or change what stands at the given revision."""
        job = self._definitions.require(request.key)
        known = job.schedules.get(request.spec.id)
        if request.revision == 0:
            return self._create(draft, job, request, known)
        if known is None:
            known = find_schedule(job, request.spec.name)
        require_api_owned(known)
        assert known.object is not None
        if known.object.revision != request.revision:
            raise RevisionMismatchError(
                f'the schedule "{request.spec.name}" was changed by somebody else',
                hint="look at it again, then change it",
            )
        check_future(request.spec, known, draft.now, job_name(request.key))
        self._definitions.check_circle(request.key, request.spec)
        same_rule = known.spec.rule == request.spec.rule
        said = replace(
            known.object,
            entry_json=request.entry_json,
            revision=known.object.revision + 1,
            updated_at=draft.now,
        )
        if (request.spec.enabled, request.spec.disabled_until) != (
            known.spec.enabled,
            known.spec.disabled_until,
        ):
            # A definition that is switched itself speaks louder than what was said before.
            said = replace(said, enabled=None, disabled_reason="", disabled_until=None)
        changed = Schedule(
            job=job,
            spec=request.spec,
            cursor=known.cursor if same_rule else draft.now,
            object=said,
            started=known.started if same_rule else 0,
        )
        self._definitions.drop_schedule(draft, job, known, goes_on=same_rule)
        self._definitions.add_schedule(draft, job, changed)
        return changed

    def _create(
        self, draft: Draft, job: Job, request: PutSchedule, known: Schedule | None
    ) -> Schedule:
        if known is not None:
            raise ScheduleExistsError(
                f'job {job_name(request.key)} has a schedule "{request.spec.name}"'
                " already",
                hint="change it with `jobs-grpc schedule update`, or choose another name",
                field="name",
            )
        check_future(request.spec, None, draft.now, job_name(request.key))
        self._definitions.check_circle(request.key, request.spec)
        said = ScheduleObject(
            entry_json=request.entry_json, created_at=draft.now, updated_at=draft.now
        )
        made = Schedule(job=job, spec=request.spec, cursor=draft.now, object=said)
        self._definitions.add_schedule(draft, job, made)
        return made

    def delete(self, draft: Draft, request: DeleteSchedule) -> None:
        job = self._definitions.require(request.key)
        schedule = find_schedule(job, request.schedule)
        require_api_owned(schedule)
        self._definitions.drop_schedule(draft, job, schedule)

    def set_enabled(self, draft: Draft, request: SetScheduleEnabled) -> Schedule:
        """Switch a schedule; without `until` it stays so until it is switched again."""
        job = self._definitions.require(request.key)
        schedule = find_schedule(job, request.schedule)
        if request.until is not None and request.until <= draft.now:
            raise InvalidError(
                f"until {format_instant(request.until)} is in the past",
                hint="name an instant to come, or leave it out",
                field="until",
            )
        said = schedule.object or ScheduleObject(
            revision=0, created_at=draft.now, updated_at=draft.now
        )
        spec = schedule.spec
        is_plain = spec.enabled and spec.disabled_until is None
        said = replace(
            said,
            revision=said.revision + 1,
            enabled=None if request.enabled and is_plain else request.enabled,
            disabled_reason="" if request.enabled else request.reason,
            disabled_until=None if request.enabled else request.until,
            updated_at=draft.now,
        )
        schedule.object = said
        draft.schedule_objects[spec.id] = said.row(spec.id, job.job_id)
        return schedule


def require_api_owned(schedule: Schedule) -> None:
    """Refuse to change what the job's document owns."""
    if schedule.is_of_document:
        label = schedule.spec.name or schedule.spec.id
        raise ScheduleOwnedError(
            f'the schedule "{label}" is defined by the document of job'
            f" {job_name(schedule.job.spec.key)}",
            hint="change it there and apply it, or switch it with"
            " `jobs-grpc schedule enable|disable`",
        )
