"""What the journal is made of: one named tuple for each kind of row written.

The field order is the column order of the statement that writes the row, so a store binds
a row as it is. Instants and durations are microseconds, absent values are `None`.
Words of enumerations are plain strings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .fleet import BreakerRow, OrderRow
from .schedules import BackfillRow, BackfillStartRow, JoinRow, ScheduleObjectRow
from .story import AttemptRow, DeadLetterRow, EventRow, LinkRow, RetryRow


class JobRow(NamedTuple):
    """A definition."""

    job_id: int
    namespace: str
    workspace: str
    name: str
    revision: int
    document_json: str
    # What `enable` and `disable` said since the document last changed.
    enabled_override: int | None
    enabled: int
    source: str
    created_at: int
    updated_at: int


class RevisionRow(NamedTuple):
    """One revision of a definition, kept for the executions pinned to it."""

    job_id: int
    revision: int
    document_json: str
    created_at: int


class StatisticsRow(NamedTuple):
    """Counters of a job; they outlive its old executions."""

    job_id: int
    run_count: int
    success_count: int
    failure_count: int
    last_run_at: int | None
    last_success_at: int | None
    last_failure_at: int | None
    last_error: str
    last_state: str


class ScheduleRow(NamedTuple):
    """A rule of a job, and the last instant that was decided for it."""

    schedule_id: str
    job_id: int
    name: str
    cursor: int


class CursorRow(NamedTuple):
    """The cursor of a schedule moves in the commit that records the decision."""

    cursor: int
    schedule_id: str


class CountRow(NamedTuple):
    """How many executions a schedule has started that may start only so many."""

    schedule_id: str
    started: int


class MetaRow(NamedTuple):
    """A fact about the store as a whole."""

    key: str
    value: str


class DecisionRow(NamedTuple):
    """What became of one due time; unique by (schedule, due time).

    A long silence makes one row for many due times: `until` is the instant up to which it
    speaks, `due_times` how many that were, where that is known.
    """

    schedule_id: str
    due_at: int
    namespace: str
    workspace: str
    job: str
    decided_at: int
    outcome: str
    reason: str
    execution_id: str
    holder: str
    until: int | None = None
    due_times: int | None = 1


class ExtendedRow(NamedTuple):
    """A decision that speaks of many due times now speaks of more."""

    until: int
    due_times: int
    decided_at: int
    schedule_id: str
    due_at: int


class PauseRow(NamedTuple):
    """A pause; it is in force until `ended_at` is set."""

    pause_id: str
    kind: str
    namespace: str
    workspace: str
    job: str
    schedule_id: str
    queue: str
    note: str
    who: str
    since: int
    until: int | None
    meanwhile: str
    ended_at: int | None
    ended_by: str


class CreatedRow(NamedTuple):
    """A new execution, as it stands at the end of the step that made it."""

    seq: int
    id: str
    namespace: str
    workspace: str
    job: str
    job_id: int
    revision: int
    type: str
    trigger: str
    queue: str
    priority: int
    scheduled_for: int
    created_at: int
    requested_by: str
    schedule_id: str
    request_id: str | None
    params_json: str
    document_json: str | None
    state: str
    phase: str
    attempt: int
    fence: int
    worker_id: str
    worker: str
    session_id: str
    started_at: int | None
    cancel_reason: str


class MovedRow(NamedTuple):
    """An execution that was leased, started, released or asked to stop."""

    state: str
    phase: str
    attempt: int
    fence: int
    worker_id: str
    worker: str
    session_id: str
    started_at: int | None
    cancel_reason: str
    seq: int


class EndedRow(NamedTuple):
    """The end of an execution."""

    state: str
    started_at: int | None
    finished_at: int
    exit_code: int | None
    signal: str
    error: str
    result_json: str
    output_bytes: int | None
    output_dropped: int
    cpu_user: int | None
    cpu_system: int | None
    peak_memory: int | None
    receipt_json: str
    seq: int


class HoldRow(NamedTuple):
    """A pending execution is kept out of the waiting lines; gone when it is let go."""

    seq: int
    reason: str
    subject: str
    since: int


class FailureStreakRow(NamedTuple):
    """How many executions of a job have failed in a row, where the job asks for it."""

    job_id: int
    failures: int


class QueueRow(NamedTuple):
    """A waiting line with its share and its totals."""

    name: str
    weight: int
    completed: int
    failed: int


class WorkerRow(NamedTuple):
    """A worker as it last introduced itself."""

    worker_id: str
    name: str
    labels_json: str
    slots: int
    functions_json: str
    version: str
    connected_at: int
    last_seen_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Everything one step wants written, in one transaction."""

    jobs: tuple[JobRow, ...] = ()
    revisions: tuple[RevisionRow, ...] = ()
    deleted_jobs: tuple[int, ...] = ()
    schedules: tuple[ScheduleRow, ...] = ()
    deleted_schedules: tuple[str, ...] = ()
    schedule_objects: tuple[ScheduleObjectRow, ...] = ()
    deleted_schedule_objects: tuple[str, ...] = ()
    backfills: tuple[BackfillRow, ...] = ()
    backfill_starts: tuple[BackfillStartRow, ...] = ()
    cursors: tuple[CursorRow, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    # Written after the decisions, which they may extend in the same commit.
    extended: tuple[ExtendedRow, ...] = ()
    pauses: tuple[PauseRow, ...] = ()
    failure_streaks: tuple[FailureStreakRow, ...] = ()
    joins: tuple[JoinRow, ...] = ()
    # (schedule id, due time) of what is old enough to be forgotten.
    deleted_decisions: tuple[tuple[str, int], ...] = ()
    # Pauses that ended before this instant are forgotten.
    forget_pauses_before: int | None = None
    created: tuple[CreatedRow, ...] = ()
    moved: tuple[MovedRow, ...] = ()
    ended: tuple[EndedRow, ...] = ()
    holds: tuple[HoldRow, ...] = ()
    # The numbers of executions that are no longer held.
    deleted_holds: tuple[int, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    events: tuple[EventRow, ...] = ()
    retries: tuple[RetryRow, ...] = ()
    links: tuple[LinkRow, ...] = ()
    dead_letters: tuple[DeadLetterRow, ...] = ()
    # By the numbers of their executions.
    deleted_dead_letters: tuple[int, ...] = ()
    statistics: tuple[StatisticsRow, ...] = ()
    queues: tuple[QueueRow, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    counts: tuple[CountRow, ...] = ()
    meta: tuple[MetaRow, ...] = ()
    breakers: tuple[BreakerRow, ...] = ()
    orders: tuple[OrderRow, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


class ExecutionRow(NamedTuple):
    """An execution as it is read back: everything known about it."""

    seq: int
    id: str
    namespace: str
    workspace: str
    job: str
    job_id: int
    revision: int
    type: str
    trigger: str
    queue: str
    priority: int
    scheduled_for: int
    created_at: int
    requested_by: str
    schedule_id: str
    request_id: str | None
    params_json: str
    document_json: str | None
    state: str
    phase: str
    attempt: int
    fence: int
    worker_id: str
    worker: str
    session_id: str
    started_at: int | None
    cancel_reason: str
    finished_at: int | None = None
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    result_json: str = ""
    output_bytes: int | None = None
    output_dropped: int = 0
    cpu_user: int | None = None
    cpu_system: int | None = None
    peak_memory: int | None = None
    receipt_json: str = ""


class JobRecord(NamedTuple):
    """A definition as it is read back, with its counters."""

    job: JobRow
    statistics: StatisticsRow
    # Executions that are not final.
    active: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveState:
    """What a new term starts from; everything else is history."""

    jobs: tuple[JobRow, ...] = ()
    statistics: tuple[StatisticsRow, ...] = ()
    schedules: tuple[ScheduleRow, ...] = ()
    schedule_objects: tuple[ScheduleObjectRow, ...] = ()
    # Unfinished ones, each with the (schedule id, due time) already started in its range.
    backfills: tuple[tuple[BackfillRow, tuple[tuple[str, int], ...]], ...] = ()
    # Not final, or lost recently.
    executions: tuple[ExecutionRow, ...] = ()
    # Of those that are not final.
    retries: tuple[RetryRow, ...] = ()
    # (execution number, fence) of the attempts that others have followed.
    superseded: tuple[tuple[int, int], ...] = ()
    holds: tuple[HoldRow, ...] = ()
    # Those in force.
    pauses: tuple[PauseRow, ...] = ()
    failure_streaks: tuple[FailureStreakRow, ...] = ()
    joins: tuple[JoinRow, ...] = ()
    # (job id, revision) to document, for executions of older revisions.
    documents: dict[tuple[int, int], str] = field(default_factory=dict)
    queues: tuple[QueueRow, ...] = ()
    counts: tuple[CountRow, ...] = ()
    meta: tuple[MetaRow, ...] = ()
    breakers: tuple[BreakerRow, ...] = ()
    orders: tuple[OrderRow, ...] = ()
