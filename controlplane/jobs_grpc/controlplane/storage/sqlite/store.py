"""The `Store` protocol over one SQLite file."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jobs_grpc.controlplane.core.rows.changes import (
    ActiveState,
    Changes,
    CountRow,
    DecisionRow,
    ExecutionRow,
    FailureStreakRow,
    HoldRow,
    JobRecord,
    JobRow,
    MetaRow,
    PauseRow,
    QueueRow,
    ScheduleRow,
    StatisticsRow,
    WorkerRow,
)
from jobs_grpc.controlplane.core.rows.fleet import BreakerRow, OrderRow
from jobs_grpc.controlplane.core.rows.schedules import (
    BackfillRow,
    JoinRow,
    ScheduleObjectRow,
)
from jobs_grpc.controlplane.core.rows.story import (
    AttemptRow,
    DeadLetterRow,
    EventRow,
    LinkRow,
    RetryRow,
)
from jobs_grpc.controlplane.core.state.job import JobKey
from jobs_grpc.controlplane.core.state.states import FINAL
from jobs_grpc.controlplane.storage.store import (
    DeadLetterFilter,
    DecisionFilter,
    ExecutionFilter,
    PauseFilter,
    QueueDepth,
    StoreFailedError,
)

from .lock import DirectoryLock
from .reader import Reader
from .writer import Writer

_FAR: Final = 2**62
# The first release without the WAL reset bug; the one writer works around it.
_SOUND_WAL: Final = (3, 51, 3)


class SqliteStore:
    """See `storage.store.Store`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        path = directory / "jobs.db"
        self._path = path
        self._lock = DirectoryLock(directory)
        self._writer = Writer(path)
        self._reader = Reader(path)

    async def open(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            # Not every error of the system names the path.
            raise StoreFailedError(
                f"cannot use the data directory {self._directory}: {error.strerror};"
                " put that right, or give another --data"
            ) from error
        await self._writer.open()
        await self._reader.open()
        if sqlite3.sqlite_version_info < _SOUND_WAL:
            logging.getLogger(__name__).debug(
                "SQLite %s is older than 3.51.3; one connection writes and checkpoints,"
                " which keeps clear of its WAL reset bug",
                sqlite3.sqlite_version,
            )

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()
        self._lock.release()

    def describe(self) -> str:
        return f"sqlite {sqlite3.sqlite_version} ({self._path})"

    async def acquire_term(self, *, holder: str, address: str, now: int) -> int:
        return await self._writer.acquire_term(holder=holder, address=address, now=now)

    async def renew_term(self, term: int, now: int) -> None:
        await self._writer.renew_term(term, now)

    async def commit(self, term: int, changes: Changes) -> None:
        await self._writer.commit(term, changes)

    async def load_active(self, *, lost_since: int = 0) -> ActiveState:
        fetch = self._reader.fetch
        documents = await fetch("active_documents", lost_since)
        return ActiveState(
            jobs=tuple(map(JobRow._make, await fetch("active_jobs"))),
            statistics=tuple(
                map(StatisticsRow._make, await fetch("active_statistics"))
            ),
            schedules=tuple(map(ScheduleRow._make, await fetch("active_schedules"))),
            schedule_objects=tuple(
                map(ScheduleObjectRow._make, await fetch("active_schedule_objects"))
            ),
            backfills=await self._active_backfills(),
            executions=tuple(
                map(ExecutionRow._make, await fetch("active_executions", lost_since))
            ),
            pauses=tuple(map(PauseRow._make, await fetch("active_pauses"))),
            failure_streaks=tuple(
                map(FailureStreakRow._make, await fetch("active_failure_streaks"))
            ),
            orders=tuple(map(OrderRow._make, await fetch("orders"))),
            joins=tuple(map(JoinRow._make, await fetch("active_joins"))),
            breakers=tuple(map(BreakerRow._make, await fetch("active_breakers"))),
            holds=tuple(map(HoldRow._make, await fetch("active_holds"))),
            retries=tuple(map(RetryRow._make, await fetch("active_retries"))),
            superseded=tuple(await fetch("active_superseded")),
            documents={(row[0], row[1]): row[2] for row in documents},
            queues=tuple(map(QueueRow._make, await fetch("active_queues"))),
            counts=tuple(map(CountRow._make, await fetch("active_counts"))),
            meta=tuple(map(MetaRow._make, await fetch("active_meta"))),
        )

    async def _active_backfills(
        self,
    ) -> tuple[tuple[BackfillRow, tuple[tuple[str, int], ...]], ...]:
        rows = await self._reader.fetch("active_backfills")
        return tuple(
            [
                (row, tuple(await self._started_of(row)))
                for row in map(BackfillRow._make, rows)
            ]
        )

    async def _started_of(self, row: BackfillRow) -> Sequence[tuple[str, int]]:
        ids = [one["id"] for one in json.loads(row.schedules_json)]
        return await self.started(ids, start=row.start, end=row.end)

    async def job(self, key: JobKey) -> JobRecord | None:
        rows = await self._reader.fetch("job", *key)
        return _job_record(rows[0]) if rows else None

    async def jobs(
        self, *, namespace: str, workspace: str, after: tuple[str, str], limit: int
    ) -> Sequence[JobRecord]:
        rows = await self._reader.fetch("jobs", namespace, workspace, *after, limit)
        return [_job_record(row) for row in rows]

    async def find_executions(
        self, *, namespace: str, prefix: str, limit: int
    ) -> Sequence[ExecutionRow]:
        # Ids are ASCII; "~" sorts after every character of one.
        rows = await self._reader.fetch(
            "find_executions", namespace, prefix, prefix + "~", limit
        )
        return [ExecutionRow._make(row) for row in rows]

    async def execution(self, execution_id: str) -> ExecutionRow | None:
        rows = await self._reader.fetch("execution", execution_id)
        return ExecutionRow._make(rows[0]) if rows else None

    async def executions(
        self, wanted: ExecutionFilter, limit: int
    ) -> Sequence[ExecutionRow]:
        before = _FAR if wanted.before is None else wanted.before
        if not wanted.job and wanted.states and "succeeded" not in wanted.states:
            return await self._executions_in(wanted, before, limit)
        states = json.dumps(wanted.states) if wanted.states else ""
        parameters: list[Any] = [
            wanted.namespace,
            before,
            wanted.workspace,
            states,
            limit,
        ]
        name = "executions"
        if wanted.job:
            name = "executions_of_job"
            parameters.append(wanted.job)
        rows = await self._reader.fetch(name, *parameters)
        return [ExecutionRow._make(row) for row in rows]

    async def _executions_in(
        self, wanted: ExecutionFilter, before: int, limit: int
    ) -> Sequence[ExecutionRow]:
        """Return executions of states that few have: each by its index, then merged."""
        found: list[ExecutionRow] = []
        for state in dict.fromkeys(wanted.states):
            is_final = state in FINAL
            rows = await self._reader.fetch(
                "executions_unsuccessful" if is_final else "executions_unfinished",
                wanted.namespace,
                before,
                wanted.workspace,
                state,
                limit,
            )
            found.extend(map(ExecutionRow._make, rows))
        found.sort(key=lambda row: row.seq, reverse=True)
        return found[:limit]

    async def attempts(self, execution_seq: int) -> Sequence[AttemptRow]:
        rows = await self._reader.fetch("attempts", execution_seq)
        return [AttemptRow._make(row) for row in rows]

    async def events(self, execution_seq: int) -> Sequence[EventRow]:
        rows = await self._reader.fetch("events", execution_seq)
        return [EventRow._make(row) for row in rows]

    async def document(self, job_id: int, revision: int) -> str | None:
        rows = await self._reader.fetch("document", job_id, revision)
        return rows[0][0] if rows else None

    async def links(self, execution_seq: int) -> Sequence[LinkRow]:
        rows = await self._reader.fetch("links", execution_seq)
        return [LinkRow._make(row) for row in rows]

    async def dead_letters(
        self, wanted: DeadLetterFilter, limit: int
    ) -> Sequence[DeadLetterRow]:
        rows = await self._reader.fetch(
            "dead_letters",
            wanted.namespace,
            _FAR if wanted.before is None else wanted.before,
            wanted.workspace,
            wanted.job,
            _FAR if wanted.failed_before is None else wanted.failed_before,
            limit,
        )
        return [DeadLetterRow._make(row) for row in rows]

    async def dead_letter(self, execution_seq: int) -> DeadLetterRow | None:
        rows = await self._reader.fetch("dead_letter", execution_seq)
        return DeadLetterRow._make(rows[0]) if rows else None

    async def executions_of_requests(
        self, *, namespace: str, request_ids: Sequence[str]
    ) -> Mapping[str, str]:
        rows = await self._reader.fetch(
            "executions_of_requests", namespace, json.dumps(request_ids)
        )
        return {row[0]: row[1] for row in rows}

    async def decisions(
        self, wanted: DecisionFilter, limit: int
    ) -> Sequence[DecisionRow]:
        before = wanted.before or (_FAR, "")
        of_job = (wanted.job,) if wanted.job else ()
        rows = await self._reader.fetch(
            "decisions_of_job" if wanted.job else "decisions",
            wanted.namespace,
            wanted.workspace,
            -_FAR if wanted.start is None else wanted.start,
            _FAR if wanted.end is None else wanted.end,
            *before,
            limit,
            json.dumps(wanted.reasons) if wanted.reasons else "",
            *of_job,
        )
        return [DecisionRow._make(row) for row in rows]

    async def decision_at(self, schedule_id: str, at: int) -> DecisionRow | None:
        rows = await self._reader.fetch("decision_at", schedule_id, at)
        for row in map(DecisionRow._make, rows):
            if at <= (row.due_at if row.until is None else row.until):
                return row
        return None

    async def old_decisions(self, before: int, limit: int) -> Sequence[tuple[str, int]]:
        rows = await self._reader.fetch("old_decisions", before, limit)
        return [(row[0], row[1]) for row in rows]

    async def pause(self, pause_id: str) -> PauseRow | None:
        rows = await self._reader.fetch("pause", pause_id)
        return PauseRow._make(rows[0]) if rows else None

    async def pauses(self, wanted: PauseFilter, limit: int) -> Sequence[PauseRow]:
        rows = await self._reader.fetch(
            "pauses",
            wanted.namespace,
            int(wanted.with_ended),
            *(wanted.before or (_FAR, "")),
            limit,
        )
        return [PauseRow._make(row) for row in rows]

    async def started(
        self, schedule_ids: Sequence[str], *, start: int, end: int
    ) -> Sequence[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for schedule_id in schedule_ids:
            rows = await self._reader.fetch("started", schedule_id, start, end)
            found.extend((row[0], row[1]) for row in rows)
        return found

    async def backfills(
        self,
        *,
        namespace: str,
        workspace: str,
        job: str,
        before: int | None,
        limit: int,
    ) -> Sequence[BackfillRow]:
        last = _FAR if before is None else before
        rows = await self._reader.fetch(
            "backfills", namespace, last, workspace, job, limit
        )
        return [BackfillRow._make(row) for row in rows]

    async def find_backfills(
        self, *, namespace: str, prefix: str, limit: int
    ) -> Sequence[BackfillRow]:
        rows = await self._reader.fetch(
            "find_backfills", namespace, prefix, prefix + "~", limit
        )
        return [BackfillRow._make(row) for row in rows]

    async def queues(self) -> tuple[Sequence[QueueRow], Sequence[QueueDepth]]:
        totals = await self._reader.fetch("queues")
        depths = await self._reader.fetch("queue_depths")
        return (
            [QueueRow._make(row) for row in totals],
            [QueueDepth(*row) for row in depths],
        )

    async def orders(self) -> Sequence[OrderRow]:
        return [OrderRow._make(row) for row in await self._reader.fetch("orders")]

    async def workers(self) -> Sequence[WorkerRow]:
        return [WorkerRow._make(row) for row in await self._reader.fetch("workers")]


def _job_record(row: Sequence[Any]) -> JobRecord:
    return JobRecord(JobRow._make(row[:11]), StatisticsRow._make(row[11:20]), row[20])
