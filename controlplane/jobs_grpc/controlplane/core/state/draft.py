"""What one step collects: rows to write, answers, messages, facts.

A `Draft` is filled while the step goes on and frozen at its end. An execution that is
touched several times in one step is written once, as it stands at the end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from jobs_grpc.controlplane.core.rows.changes import (
    Changes,
    CountRow,
    CursorRow,
    DecisionRow,
    EndedRow,
    ExtendedRow,
    FailureStreakRow,
    HoldRow,
    JobRow,
    MetaRow,
    PauseRow,
    QueueRow,
    RevisionRow,
    ScheduleRow,
    WorkerRow,
)
from jobs_grpc.controlplane.core.rows.fleet import BreakerRow, OrderRow
from jobs_grpc.controlplane.core.rows.schedules import (
    BackfillStartRow,
    ScheduleObjectRow,
)
from jobs_grpc.controlplane.core.rows.story import (
    AttemptRow,
    DeadLetterRow,
    EventRow,
    LinkRow,
)

from .effects import Fact, Message
from .execution import Execution, Result

if TYPE_CHECKING:
    from .backfill import Backfill
    from .live import Job, Schedule, Sequence
    from .story import Event


class QueueTotals(Protocol):
    """A queue, as far as it is written."""

    def row(self) -> QueueRow: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step wants written, and what may be said afterwards, in order."""

    changes: Changes
    # The answer to each input, in the order of the inputs.
    replies: tuple[object, ...]
    messages: tuple[Message, ...]
    facts: tuple[Fact, ...]
    # When the core wants to be stepped again at the latest; `None` for "on input".
    wake_at: int | None
    # How long sessions live from now on, in microseconds.
    session_ttl: int = 0


@dataclass(slots=True, kw_only=True)
class Draft:
    """A step in the making."""

    now: int
    # Where events take their numbers from.
    sequence: Sequence
    replies: list[object] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    jobs: dict[int, JobRow] = field(default_factory=dict)
    # Each one, though the next came in the same step: an execution may be pinned to it.
    revisions: list[RevisionRow] = field(default_factory=list)
    deleted_jobs: list[int] = field(default_factory=list)
    schedules: dict[str, ScheduleRow] = field(default_factory=dict)
    deleted_schedules: dict[str, None] = field(default_factory=dict)
    # None where it is gone.
    schedule_objects: dict[str, ScheduleObjectRow | None] = field(default_factory=dict)
    backfills: dict[int, Backfill] = field(default_factory=dict)
    backfill_starts: list[BackfillStartRow] = field(default_factory=list)
    # How many due times backfills have dealt with, how many facts they have looked at.
    backfilled: int = 0
    followed: int = 0
    # How many facts event schedules have heard.
    heard: int = 0
    cursors: dict[str, Schedule] = field(default_factory=dict)
    decisions: list[DecisionRow] = field(default_factory=list)
    extended: dict[tuple[str, int], ExtendedRow] = field(default_factory=dict)
    pauses: dict[str, PauseRow] = field(default_factory=dict)
    failure_streaks: dict[int, FailureStreakRow] = field(default_factory=dict)
    # Jobs whose dependencies have moved; written as they stand at the end.
    joins: dict[int, Job] = field(default_factory=dict)
    # (job id, due time) of what was started, for jobs of several schedules.
    due_started: set[tuple[int, int]] = field(default_factory=set)
    created: dict[int, Execution] = field(default_factory=dict)
    moved: dict[int, Execution] = field(default_factory=dict)
    ended: dict[int, EndedRow] = field(default_factory=dict)
    # What was held or let go; as it stands at the end of the step.
    held: dict[int, Execution] = field(default_factory=dict)
    attempts: list[AttemptRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    dead_letters: dict[int, DeadLetterRow] = field(default_factory=dict)
    deleted_dead_letters: dict[int, None] = field(default_factory=dict)
    # Executions whose count of retries changed; written as it stands at the end.
    retried: dict[int, Execution] = field(default_factory=dict)
    statistics: dict[int, Job] = field(default_factory=dict)
    queues: dict[str, QueueTotals] = field(default_factory=dict)
    workers: dict[str, WorkerRow] = field(default_factory=dict)
    counts: dict[str, CountRow] = field(default_factory=dict)
    meta: list[MetaRow] = field(default_factory=list)
    breakers: list[BreakerRow] = field(default_factory=list)
    orders: dict[str, OrderRow] = field(default_factory=dict)

    def note_created(self, execution: Execution) -> None:
        self.created[execution.seq] = execution

    def note_moved(self, execution: Execution) -> None:
        if execution.seq not in self.created:
            self.moved[execution.seq] = execution

    def note_held(self, execution: Execution) -> None:
        self.held[execution.seq] = execution

    def note_ended(self, execution: Execution, result: Result) -> None:
        self.moved.pop(execution.seq, None)
        self.ended[execution.seq] = execution.ended_row(result)

    def note_attempt(self, execution: Execution, outcome: str, result: Result) -> None:
        """Keep the current attempt of an execution that goes on without it."""
        self.attempts.append(execution.attempt_row(outcome, result))

    def note_retry(self, execution: Execution) -> None:
        self.retried[execution.seq] = execution

    def note_dead_letter(self, row: DeadLetterRow) -> None:
        self.dead_letters[row.seq] = row

    def drop_dead_letter(self, seq: int) -> None:
        """Take the mark off an execution, if it has one."""
        self.dead_letters.pop(seq, None)
        self.deleted_dead_letters[seq] = None

    def note_event(self, execution: Execution, kind: Event, **detail: Any) -> None:
        """Keep what happened to an execution, for those who ask why.

        Only for what is rare: each event is a row. Details are values of JSON, instants
        and durations among them in microseconds; `None` and "" are left out.
        """
        told = {
            key: value
            for key, value in detail.items()
            if value is not None and value != ""
        }
        self.events.append(
            EventRow(
                execution.seq,
                self.sequence.take(),
                self.now,
                kind.value,
                json.dumps(told, ensure_ascii=False),
            )
        )

    def freeze(self, wake_at: int | None, *, session_ttl: int) -> Step:
        """Return the step; the draft must not be touched after."""
        changes = Changes(
            jobs=tuple(self.jobs.values()),
            revisions=tuple(self.revisions),
            deleted_jobs=tuple(self.deleted_jobs),
            schedules=tuple(self.schedules.values()),
            deleted_schedules=tuple(self.deleted_schedules),
            schedule_objects=tuple(
                row for row in self.schedule_objects.values() if row is not None
            ),
            deleted_schedule_objects=tuple(
                id_ for id_, row in self.schedule_objects.items() if row is None
            ),
            backfills=tuple(one.row() for one in self.backfills.values()),
            backfill_starts=tuple(self.backfill_starts),
            cursors=tuple(
                CursorRow(schedule.cursor, schedule.spec.id)
                for schedule in self.cursors.values()
            ),
            decisions=tuple(self.decisions),
            extended=tuple(self.extended.values()),
            pauses=tuple(self.pauses.values()),
            failure_streaks=tuple(self.failure_streaks.values()),
            joins=tuple(job.join_row() for job in self.joins.values()),
            created=tuple(one.created_row() for one in self.created.values()),
            moved=tuple(one.moved_row() for one in self.moved.values()),
            ended=tuple(self.ended.values()),
            holds=tuple(
                HoldRow(one.seq, *one.hold)
                for one in self.held.values()
                if one.hold is not None
            ),
            deleted_holds=tuple(
                one.seq for one in self.held.values() if one.hold is None
            ),
            attempts=tuple(self.attempts),
            events=tuple(self.events),
            links=tuple(self.links),
            dead_letters=tuple(self.dead_letters.values()),
            deleted_dead_letters=tuple(self.deleted_dead_letters),
            retries=tuple(
                one.retry.row(one.seq)
                for one in self.retried.values()
                if one.retry is not None
            ),
            statistics=tuple(job.statistics_row() for job in self.statistics.values()),
            queues=tuple(queue.row() for queue in self.queues.values()),
            workers=tuple(self.workers.values()),
            counts=tuple(self.counts.values()),
            meta=tuple(self.meta),
            breakers=tuple(self.breakers),
            orders=tuple(self.orders.values()),
        )
        return Step(
            changes=changes,
            replies=tuple(self.replies),
            messages=tuple(self.messages),
            facts=tuple(self.facts),
            wake_at=wake_at,
            session_ttl=session_ttl,
        )
