"""The rows of schedules made one by one, and of backfills; see `changes`."""

from __future__ import annotations

from typing import NamedTuple


class ScheduleObjectRow(NamedTuple):
    """What a schedule is beyond the job's document; most schedules have no such row."""

    schedule_id: str
    job_id: int
    # Empty where the document defines the schedule and this only switches it.
    entry_json: str
    revision: int
    enabled: int | None
    disabled_reason: str
    disabled_until: int | None
    created_at: int
    updated_at: int


class BackfillRow(NamedTuple):
    """A backfill and how far it has come; see `backfill`."""

    seq: int
    id: str
    namespace: str
    workspace: str
    job: str
    job_id: int
    revision: int
    schedules_json: str
    start: int
    end: int
    newest_first: int
    parallel: int
    priority: int
    total: int
    requested_by: str
    created_at: int
    updated_at: int
    state: str
    cursor: int | None
    started: int
    left_out: int
    succeeded: int
    failed: int
    cancelled: int
    reason: str
    finished_at: int | None


class BackfillStartRow(NamedTuple):
    """A due time that a backfill has started; unique by (schedule, due time)."""

    schedule_id: str
    due_at: int
    backfill_id: str
    execution_id: str


class JoinRow(NamedTuple):
    """Who has succeeded of the jobs that one depends on; see `joins`."""

    job_id: int
    # {name: execution id}; a row without any is as good as none.
    arrived_json: str
