"""A store in memory: the same verbs, the same refusals, gone with the process.

It is what tests and simulations of everything above the store run on, so it passes the
contract suite of the durable ones.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from jobs_grpc.controlplane.core.rows.changes import (
    ActiveState,
    Changes,
    CountRow,
    ExecutionRow,
    HoldRow,
    JobRecord,
    JobRow,
    MetaRow,
    QueueRow,
    ScheduleRow,
    StatisticsRow,
    WorkerRow,
)
from jobs_grpc.controlplane.core.rows.fleet import OrderRow
from jobs_grpc.controlplane.core.rows.schedules import ScheduleObjectRow
from jobs_grpc.controlplane.core.rows.story import (
    AttemptRow,
    DeadLetterRow,
    EventRow,
    LinkRow,
    RetryRow,
)
from jobs_grpc.controlplane.core.state.job import JobKey

from .memory_backfills import BackfillVerbs, MemoryBackfills
from .memory_decisions import MemoryDecisions
from .memory_fleet import MemoryFleet
from .store import (
    DeadLetterFilter,
    ExecutionFilter,
    QueueDepth,
    StoreFailedError,
    TermEndedError,
)


class MemoryStore(BackfillVerbs, MemoryDecisions):
    """See `storage.store.Store`."""

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0
        self._jobs: dict[int, JobRow] = {}
        self._documents: dict[tuple[int, int], str] = {}
        self._statistics: dict[int, StatisticsRow] = {}
        self._schedules: dict[str, ScheduleRow] = {}
        self._schedule_objects: dict[str, ScheduleObjectRow] = {}
        self._backfills = MemoryBackfills(self._decisions)
        self._executions: dict[int, ExecutionRow] = {}
        self._ids: dict[str, int] = {}
        self._requests: dict[tuple[str, str], str] = {}
        self._attempts: dict[tuple[int, int], AttemptRow] = {}
        self._events: dict[tuple[int, int], EventRow] = {}
        self._retries: dict[int, RetryRow] = {}
        self._links: dict[int, LinkRow] = {}
        self._dead_letters: dict[int, DeadLetterRow] = {}
        self._queues: dict[str, QueueRow] = {}
        self._fleet = MemoryFleet()
        self._holds: dict[int, HoldRow] = {}
        self._counts: dict[str, CountRow] = {}
        self._meta: dict[str, MetaRow] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Nothing to hold."""

    async def close(self) -> None:
        """Nothing to let go."""

    def describe(self) -> str:
        return "memory"

    async def acquire_term(self, *, holder: str, address: str, now: int) -> int:
        del holder, address, now
        self._epoch += 1
        return self._epoch

    async def renew_term(self, term: int, now: int) -> None:
        del now
        self._check_term(term)

    async def load_active(self, *, lost_since: int = 0) -> ActiveState:
        active = [
            row
            for row in self._executions.values()
            if row.finished_at is None
            or (row.state == "lost" and row.finished_at >= lost_since)
        ]
        backfills = self._backfills.unfinished()
        wanted = {(row.job_id, row.revision) for row in active}
        wanted |= {(row.job_id, row.revision) for row, _ in backfills}
        decided: dict[str, int] = {}
        for schedule_id, due_at in self._decisions:
            decided[schedule_id] = max(due_at, decided.get(schedule_id, 0))
        return ActiveState(
            jobs=tuple(self._jobs.values()),
            statistics=tuple(self._statistics.values()),
            schedules=tuple(
                row._replace(cursor=max(row.cursor, decided.get(row.schedule_id, 0)))
                for row in self._schedules.values()
            ),
            schedule_objects=tuple(
                sorted(
                    self._schedule_objects.values(),
                    key=lambda row: (row.created_at, row.schedule_id),
                )
            ),
            backfills=backfills,
            executions=tuple(sorted(active)),
            pauses=self._pauses_in_force(),
            failure_streaks=tuple(self._failure_streaks.values()),
            joins=self._half_joins(),
            superseded=tuple(
                sorted(
                    (
                        (seq, fence)
                        for seq, fence in self._attempts
                        if self._executions[seq].finished_at is None
                    ),
                    key=lambda one: one[1],
                )
            ),
            retries=tuple(
                self._retries[row.seq]
                for row in active
                if row.seq in self._retries and row.finished_at is None
            ),
            breakers=tuple(self._fleet.breakers.values()),
            orders=tuple(self._fleet.orders.values()),
            holds=tuple(
                row
                for row in self._holds.values()
                if self._executions[row.seq].finished_at is None
            ),
            documents={
                key: text for key, text in self._documents.items() if key in wanted
            },
            queues=tuple(self._queues.values()),
            counts=tuple(self._counts.values()),
            meta=tuple(self._meta.values()),
        )

    async def commit(self, term: int, changes: Changes) -> None:
        async with self._lock:
            # Where a durable store waits for its disk, others get their turn here too.
            await asyncio.sleep(0)
            self._check_term(term)
            self._check(changes)
            self._write_jobs(changes)
            self._write_decisions(changes)
            self._write_executions(changes)

    async def job(self, key: JobKey) -> JobRecord | None:
        for row in self._jobs.values():
            if (row.namespace, row.workspace, row.name) == key:
                return self._record(row)
        return None

    async def jobs(
        self, *, namespace: str, workspace: str, after: tuple[str, str], limit: int
    ) -> Sequence[JobRecord]:
        found = sorted(
            (
                row
                for row in self._jobs.values()
                if row.namespace == namespace and workspace in {"", row.workspace}
            ),
            key=lambda row: (row.workspace, row.name),
        )
        start = bisect_right(found, after, key=lambda row: (row.workspace, row.name))
        return [self._record(row) for row in found[start : start + limit]]

    async def find_executions(
        self, *, namespace: str, prefix: str, limit: int
    ) -> Sequence[ExecutionRow]:
        found = sorted(
            (
                row
                for row in self._executions.values()
                if row.namespace == namespace and row.id.startswith(prefix)
            ),
            key=lambda row: row.id,
        )
        return found[:limit]

    async def execution(self, execution_id: str) -> ExecutionRow | None:
        found = (row for row in self._executions.values() if row.id == execution_id)
        return next(found, None)

    async def executions(
        self, wanted: ExecutionFilter, limit: int
    ) -> Sequence[ExecutionRow]:
        found = [
            row
            for row in sorted(self._executions.values(), reverse=True)
            if row.namespace == wanted.namespace
            and wanted.workspace in {"", row.workspace}
            and wanted.job in {"", row.job}
            and (not wanted.states or row.state in wanted.states)
            and (wanted.before is None or row.seq < wanted.before)
        ]
        return found[:limit]

    async def attempts(self, execution_seq: int) -> Sequence[AttemptRow]:
        return sorted(
            row for row in self._attempts.values() if row.execution_seq == execution_seq
        )

    async def events(self, execution_seq: int) -> Sequence[EventRow]:
        return sorted(
            row for row in self._events.values() if row.execution_seq == execution_seq
        )

    async def document(self, job_id: int, revision: int) -> str | None:
        return self._documents.get((job_id, revision))

    async def links(self, execution_seq: int) -> Sequence[LinkRow]:
        return sorted(
            row
            for row in self._links.values()
            if execution_seq in {row.seq, row.origin_seq}
        )

    async def dead_letters(
        self, wanted: DeadLetterFilter, limit: int
    ) -> Sequence[DeadLetterRow]:
        found = [
            row
            for row in sorted(self._dead_letters.values(), reverse=True)
            if row.namespace == wanted.namespace
            and wanted.workspace in {"", row.workspace}
            and wanted.job in {"", row.job}
            and (wanted.failed_before is None or row.at < wanted.failed_before)
            and (wanted.before is None or row.seq < wanted.before)
        ]
        return found[:limit]

    async def dead_letter(self, execution_seq: int) -> DeadLetterRow | None:
        return self._dead_letters.get(execution_seq)

    async def executions_of_requests(
        self, *, namespace: str, request_ids: Sequence[str]
    ) -> Mapping[str, str]:
        return {
            one: self._requests[(namespace, one)]
            for one in request_ids
            if (namespace, one) in self._requests
        }

    async def queues(self) -> tuple[Sequence[QueueRow], Sequence[QueueDepth]]:
        depths: dict[str, list[int]] = {}
        for row in self._executions.values():
            if row.finished_at is not None:
                continue
            counts = depths.setdefault(row.queue, [0, 0, 0])
            if row.state in {"scheduled", "retrying"}:
                counts[0] += 1
            elif row.phase != "none":
                counts[2] += 1
            elif row.state == "pending":
                counts[1] += 1
        return (
            sorted(self._queues.values()),
            [QueueDepth(name, *counts) for name, counts in depths.items()],
        )

    async def orders(self) -> Sequence[OrderRow]:
        return sorted(self._fleet.orders.values())

    async def workers(self) -> Sequence[WorkerRow]:
        return self._fleet.by_name()

    def _check_term(self, term: int) -> None:
        if term != self._epoch:
            raise TermEndedError(f"term {term} is over: a later leader has begun")

    def _check(self, changes: Changes) -> None:
        """Refuse what the unique keys of a database would refuse."""
        names = {
            (row.namespace, row.workspace, row.name): row.job_id
            for row in (self._jobs.values() if changes.jobs else ())
            if row.job_id not in changes.deleted_jobs
        }
        for job in changes.jobs:
            key = (job.namespace, job.workspace, job.name)
            if names.setdefault(key, job.job_id) != job.job_id:
                raise StoreFailedError(f"a job of the name {job.name} exists")
        ids: set[str] = set()
        requests: set[tuple[str, str]] = set()
        for row in changes.created:
            request = (row.namespace, row.request_id or row.id)
            if row.id in self._ids or row.id in ids or row.seq in self._executions:
                raise StoreFailedError(f"execution {row.id} exists")
            if row.request_id and (request in self._requests or request in requests):
                raise StoreFailedError(f"request {row.request_id} exists")
            ids.add(row.id)
            requests.add(request)
        self._backfills.check(changes)
        for decision in changes.decisions:
            if (decision.schedule_id, decision.due_at) in self._decisions:
                raise StoreFailedError("the due time is decided already")
        for attempt in changes.attempts:
            if (attempt.execution_seq, attempt.fence) in self._attempts:
                raise StoreFailedError("the attempt is kept already")

    def _write_jobs(self, changes: Changes) -> None:
        # First, so that a name that becomes free can be taken in the same commit.
        for schedule_id in changes.deleted_schedules:
            self._schedules.pop(schedule_id, None)
            self._counts.pop(schedule_id, None)
        for schedule_id in changes.deleted_schedule_objects:
            self._schedule_objects.pop(schedule_id, None)
        for job_id in changes.deleted_jobs:
            self._jobs.pop(job_id, None)
            self._statistics.pop(job_id, None)
            self._failure_streaks.pop(job_id, None)
            self._joins.pop(job_id, None)
        for job in changes.jobs:
            self._jobs[job.job_id] = job
        for one in changes.revisions:
            self._documents.setdefault((one.job_id, one.revision), one.document_json)
        for schedule in changes.schedules:
            self._schedules[schedule.schedule_id] = schedule
        self._backfills.write(changes)
        for one_object in changes.schedule_objects:
            self._schedule_objects[one_object.schedule_id] = one_object
        for cursor in changes.cursors:
            old = self._schedules[cursor.schedule_id]
            self._schedules[cursor.schedule_id] = old._replace(cursor=cursor.cursor)
        self._statistics.update((row.job_id, row) for row in changes.statistics)
        self._queues.update((row.name, row) for row in changes.queues)
        self._fleet.write(changes)
        self._counts.update((row.schedule_id, row) for row in changes.counts)
        self._meta.update((row.key, row) for row in changes.meta)

    def _write_executions(self, changes: Changes) -> None:
        for row in changes.created:
            self._executions[row.seq] = ExecutionRow(*row)
            self._ids[row.id] = row.seq
            if row.request_id:
                self._requests[(row.namespace, row.request_id)] = row.id
        for moved in changes.moved:
            old = self._executions[moved.seq]
            self._executions[moved.seq] = old._replace(**moved._asdict())
        for ended in changes.ended:
            old = self._executions[ended.seq]
            self._executions[ended.seq] = old._replace(**ended._asdict())
        self._attempts.update(
            ((row.execution_seq, row.fence), row) for row in changes.attempts
        )
        self._events.update(((row.execution_seq, row.n), row) for row in changes.events)
        self._retries.update((row.execution_seq, row) for row in changes.retries)
        self._links.update((row.seq, row) for row in changes.links)
        for seq in changes.deleted_dead_letters:
            self._dead_letters.pop(seq, None)
        self._dead_letters.update((row.seq, row) for row in changes.dead_letters)

        for seq in changes.deleted_holds:
            self._holds.pop(seq, None)
        self._holds.update((row.seq, row) for row in changes.holds)

    def _record(self, row: JobRow) -> JobRecord:
        statistics = self._statistics.get(row.job_id)
        if statistics is None:
            statistics = StatisticsRow(row.job_id, 0, 0, 0, None, None, None, "", "")
        active = sum(
            1
            for one in self._executions.values()
            if one.job_id == row.job_id and one.finished_at is None
        )
        return JobRecord(row, statistics, active)
