"""Jobs that depend on others: due once all of those have succeeded.

A dependant has a schedule of its own for this, so overlap, pauses, switches and records
of decisions are those of any schedule. What is special is memory: which of its jobs have
succeeded since it was last due. That is a row, written in the commit of each first
success that is not the last one needed, and empty again in the commit of the last: of
two successes nothing is forgotten by a leader that dies in between.

An edit starts nothing; who is no longer depended on is forgotten with it. One that is
deleted, or gets another name, is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.schedule import JoinRule
from jobs_grpc.schedule.error import did_you_mean

if TYPE_CHECKING:
    from jobs_grpc.controlplane.core.state.draft import Draft
    from jobs_grpc.controlplane.core.state.job import JobSpec
    from jobs_grpc.controlplane.core.state.live import Job, Live, Schedule


def arrive(draft: Draft, schedule: Schedule, cause: Execution) -> bool:
    """Note that a job it depends on has succeeded; say whether it was the last one."""
    job, rule = schedule.job, schedule.spec.rule
    assert isinstance(rule, JoinRule)
    name = cause.spec.name
    arrived = job.arrived or {}
    if any(one != name and one not in arrived for one in rule.jobs):
        if name not in arrived:
            job.arrived = {**arrived, name: cause.id}
            draft.joins[job.job_id] = job
        return False
    _forget(draft, job)
    return True


def waits_for(schedule: Schedule) -> tuple[str, ...]:
    """Return the jobs that have yet to succeed; none for schedules of other kinds."""
    rule, arrived = schedule.spec.rule, schedule.job.arrived or {}
    if not isinstance(rule, JoinRule):
        return ()
    return tuple(one for one in rule.jobs if one not in arrived)


def prune(draft: Draft, job: Job) -> None:
    """Forget the successes of those that a job no longer depends on."""
    if not job.arrived:
        return
    names = depends_on(job.spec)
    left = {name: id_ for name, id_ in job.arrived.items() if name in names}
    if not left:
        _forget(draft, job)
    elif left != job.arrived:
        job.arrived = left
        draft.joins[job.job_id] = job


def _forget(draft: Draft, job: Job) -> None:
    if job.arrived:
        job.arrived = None
        draft.joins[job.job_id] = job


def depends_on(spec: JobSpec) -> tuple[str, ...]:
    """Return the names of the jobs that one depends on."""
    for one in spec.schedules:
        if isinstance(one.rule, JoinRule):
            return one.rule.jobs
    return ()


def check_known(live: Live, specs: Iterable[JobSpec]) -> None:
    """Refuse names that no job has, of the request or of the term.

    Those that a job depends on already may have gone since.
    """
    specs = tuple(specs)
    given = {spec.key for spec in specs}
    for spec in specs:
        names = depends_on(spec)
        if not names:
            continue
        place = (spec.namespace, spec.workspace)
        job = live.jobs.get(spec.key)
        old = depends_on(job.spec) if job is not None else ()
        for name in names:
            key = (*place, name)
            if name in old or key in given or key in live.jobs:
                continue
            if key in live.unreadable:
                continue
            known = [one[2] for one in (*given, *live.jobs) if one[:2] == place]
            near = did_you_mean(name, (one for one in known if one != spec.name))
            raise InvalidError(
                f'job "{spec.name}" depends on "{name}", and its workspace has no'
                f" such job{near}",
                hint="apply the two together, or that one first",
                field="depends_on",
            )
