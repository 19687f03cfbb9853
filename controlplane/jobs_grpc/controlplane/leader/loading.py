"""From the store to a core: how a term begins where the last one ended."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.fleet.session_time import KEY as SESSION_TIME_KEY
from jobs_grpc.controlplane.core.fleet.sessions import SESSION_TTL
from jobs_grpc.controlplane.core.rows.changes import (
    ActiveState,
    ExecutionRow,
    JobRow,
    StatisticsRow,
)
from jobs_grpc.controlplane.core.rows.schedules import ScheduleObjectRow
from jobs_grpc.controlplane.core.schedules.zones import KEY as ZONES_KEY
from jobs_grpc.controlplane.core.schedules.zones import Zones
from jobs_grpc.controlplane.core.state.backfill import backfill_of
from jobs_grpc.controlplane.core.state.execution import Execution, Hold
from jobs_grpc.controlplane.core.state.job import JobSpec, ScheduleSpec
from jobs_grpc.controlplane.core.state.live import Job
from jobs_grpc.controlplane.core.state.pauses import pause_of
from jobs_grpc.controlplane.core.state.retrying import RetryState
from jobs_grpc.controlplane.core.state.schedule_object import ScheduleObject, object_of
from jobs_grpc.controlplane.core.state.states import Phase, State

from .backfills import read_kept
from .specs import schedule_of, spec_from_json

log = logging.getLogger(__name__)

# What documents mean, by job and revision; those of older revisions join when needed.
Specs: TypeAlias = dict[tuple[int, int], JobSpec]


def build_core(
    state: ActiveState,
    *,
    term: int,
    now: int,
    tzdata: str = "",
    session_ttl: int = SESSION_TTL,
) -> Core:
    """Return a core that stands where the store does; `tzdata` is the version in use.

    A row that cannot be understood (by a bug, or a hand in the database) costs its own
    job or execution and a line in the log, never the term.
    """
    meta = dict(state.meta)
    core = Core(
        term=term,
        session_ttl=session_ttl,
        promised_ttl=meta.get(SESSION_TIME_KEY, ""),
    )
    core.zones = Zones(meta.get(ZONES_KEY, ""), tzdata)
    for queue in state.queues:
        known = core.waiting.queues.get(queue.name)
        if known is not None:
            known.completed, known.failed = queue.completed, queue.failed
    specs = _restore_jobs(core, state, now)
    _restore_orders_and_gates(core, state)
    _restore_executions(core, state, specs, now)
    _restore_backfills(core, state, specs)
    return core


def _restore_jobs(core: Core, state: ActiveState, now: int) -> Specs:
    """Restore jobs with their schedules; return what their documents mean."""
    counts = dict(state.counts)
    cursors = _cursors(state)
    objects: dict[int, list[ScheduleObjectRow]] = defaultdict(list)
    for row_of_object in state.schedule_objects:
        objects[row_of_object.job_id].append(row_of_object)
    statistics = {row.job_id: row for row in state.statistics}
    streaks = {row.job_id: row.failures for row in state.failure_streaks}
    joins = {row.job_id: json.loads(row.arrived_json) for row in state.joins}
    specs: Specs = {}
    for row in state.jobs:
        try:
            spec = spec_from_json(row.document_json)
        except ValueError:
            log.exception("job %s/%s cannot be read", row.workspace, row.name)
            key = (row.namespace, row.workspace, row.name)
            core.live.unreadable[key] = row.job_id
            continue
        specs[(row.job_id, row.revision)] = spec
        job = _job(row, spec, statistics.get(row.job_id))
        job.failures_in_a_row = streaks.get(row.job_id, 0)
        job.arrived = joins.get(row.job_id)
        made = _objects(objects.get(row.job_id, ()), spec)
        core.restore_job(job, cursors.get(row.job_id, {}), now, made, counts)
    return specs


def _cursors(state: ActiveState) -> Mapping[int, Mapping[str, int]]:
    """Return the cursors of the schedules of each job that has any."""
    cursors: dict[int, dict[str, int]] = defaultdict(dict)
    instants: dict[int, int] = {}
    for schedule in state.schedules:
        # Most were decided at few instants: one number serves all that share it.
        cursor = instants.setdefault(schedule.cursor, schedule.cursor)
        cursors[schedule.job_id][schedule.schedule_id] = cursor
    return cursors


def _restore_orders_and_gates(core: Core, state: ActiveState) -> None:
    """Restore what keeps executions from a slot, which is asked as they come back."""
    for pause in state.pauses:
        core.restore_pause(pause_of(pause))
    for order in state.orders:
        core.restore_order(order)
    for breaker in state.breakers:
        core.restore_breaker(breaker)


def _restore_executions(core: Core, state: ActiveState, specs: Specs, now: int) -> None:
    holds = {row.seq: Hold(row.reason, row.subject, row.since) for row in state.holds}
    retries = {row.execution_seq: RetryState(*row[1:]) for row in state.retries}
    for row in state.executions:
        try:
            spec = _spec_of(row, specs, state.documents)
        except (ValueError, KeyError):
            log.exception("execution %s cannot be read", row.id)
            continue
        execution = _execution(row, spec)
        execution.hold = holds.get(row.seq)
        execution.retry = retries.get(row.seq)
        core.restore_execution(execution, now)
    core.restore_superseded(state.superseded)


def _restore_backfills(core: Core, state: ActiveState, specs: Specs) -> None:
    for backfill, started in state.backfills:
        pinned = (backfill.job_id, backfill.revision)
        try:
            if pinned not in specs:
                specs[pinned] = spec_from_json(state.documents[pinned])
            schedules = read_kept(backfill.schedules_json, specs[pinned])
        except (ValueError, KeyError):
            log.exception("backfill %s cannot be read", backfill.id)
            continue
        core.restore_backfill(backfill_of(backfill, schedules), started)


def _objects(
    rows: Iterable[ScheduleObjectRow], spec: JobSpec
) -> list[tuple[ScheduleSpec, ScheduleObject]]:
    """Return the schedules of a job that the API made or switched."""
    of_document = {one.id: one for one in spec.schedules}
    found = []
    for row in rows:
        known = of_document.get(row.schedule_id)
        if row.entry_json:
            try:
                known = schedule_of(spec.key, json.loads(row.entry_json))
            except ValueError:
                log.exception("schedule %s cannot be read", row.schedule_id)
                continue
        if known is not None:
            found.append((known, object_of(row)))
    return found


def _spec_of(
    row: ExecutionRow,
    specs: Specs,
    documents: dict[tuple[int, int], str],
) -> JobSpec:
    if row.document_json is not None:
        return spec_from_json(row.document_json)
    pinned = (row.job_id, row.revision)
    if pinned not in specs:
        specs[pinned] = spec_from_json(documents[pinned])
    return specs[pinned]


def _job(row: JobRow, spec: JobSpec, counters: StatisticsRow | None) -> Job:
    override = row.enabled_override
    job = Job(
        job_id=row.job_id,
        spec=spec,
        revision=row.revision,
        override=None if override is None else bool(override),
        source=row.source,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
    if counters is not None:
        job.run_count = counters.run_count
        job.success_count = counters.success_count
        job.failure_count = counters.failure_count
        job.last_run_at = counters.last_run_at
        job.last_success_at = counters.last_success_at
        job.last_failure_at = counters.last_failure_at
        job.last_error = counters.last_error
        job.last_state = counters.last_state
    return job


def _execution(row: ExecutionRow, spec: JobSpec) -> Execution:
    return Execution(
        seq=row.seq,
        id=row.id,
        spec=spec,
        job_id=row.job_id,
        revision=row.revision,
        trigger=row.trigger,
        queue=row.queue,
        priority=row.priority,
        scheduled_for=row.scheduled_for,
        created_at=row.created_at,
        requested_by=row.requested_by,
        schedule_id=row.schedule_id,
        request_id=row.request_id,
        params=json.loads(row.params_json),
        document_json=row.document_json,
        state=State(row.state),
        phase=Phase(row.phase),
        attempt=row.attempt,
        fence=row.fence,
        worker_id=row.worker_id,
        worker=row.worker,
        session_id=row.session_id,
        started_at=row.started_at,
        cancel_reason=row.cancel_reason,
        lost_at=row.finished_at,
    )
