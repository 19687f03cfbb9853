"""The part of the store in memory that keeps backfills."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jobs_grpc.controlplane.core.rows.changes import Changes, DecisionRow
from jobs_grpc.controlplane.core.rows.schedules import BackfillRow

from .store import StoreFailedError


class MemoryBackfills:
    """See `storage.store.Store`. Decisions are the store's own; they are only read here."""

    def __init__(self, decisions: dict[tuple[str, int], DecisionRow]) -> None:
        self._decisions = decisions
        self._rows: dict[int, BackfillRow] = {}
        self._starts: set[tuple[str, int]] = set()

    def check(self, changes: Changes) -> None:
        """Refuse what the unique key of a database would refuse."""
        for start in changes.backfill_starts:
            if (start.schedule_id, start.due_at) in self._starts:
                raise StoreFailedError("the due time was started by a backfill already")

    def write(self, changes: Changes) -> None:
        self._rows.update((row.seq, row) for row in changes.backfills)
        self._starts.update(
            (row.schedule_id, row.due_at) for row in changes.backfill_starts
        )

    def unfinished(self) -> tuple[tuple[BackfillRow, tuple[tuple[str, int], ...]], ...]:
        return tuple(
            (row, tuple(self.started(_ids_of(row), row.start, row.end)))
            for row in sorted(self._rows.values())
            if row.finished_at is None
        )

    def started(
        self, schedule_ids: Sequence[str], start: int, end: int
    ) -> list[tuple[str, int]]:
        decided = [
            (row.schedule_id, row.due_at)
            for row in self._decisions.values()
            if row.outcome == "started"
        ]
        return [
            (schedule_id, due)
            for schedule_id, due in (*decided, *self._starts)
            if schedule_id in schedule_ids and start <= due < end
        ]

    def listed(
        self, namespace: str, workspace: str, job: str, before: int | None
    ) -> list[BackfillRow]:
        return [
            row
            for row in sorted(self._rows.values(), reverse=True)
            if row.namespace == namespace
            and workspace in {"", row.workspace}
            and job in {"", row.job}
            and (before is None or row.seq < before)
        ]

    def found(self, namespace: str, prefix: str) -> list[BackfillRow]:
        return sorted(
            (
                row
                for row in self._rows.values()
                if row.namespace == namespace and row.id.startswith(prefix)
            ),
            key=lambda row: row.id,
        )


class BackfillVerbs:
    """The verbs of the store that concern backfills alone."""

    _backfills: MemoryBackfills

    async def started(
        self, schedule_ids: Sequence[str], *, start: int, end: int
    ) -> Sequence[tuple[str, int]]:
        return self._backfills.started(schedule_ids, start, end)

    async def backfills(
        self,
        *,
        namespace: str,
        workspace: str,
        job: str,
        before: int | None,
        limit: int,
    ) -> Sequence[BackfillRow]:
        return self._backfills.listed(namespace, workspace, job, before)[:limit]

    async def find_backfills(
        self, *, namespace: str, prefix: str, limit: int
    ) -> Sequence[BackfillRow]:
        return self._backfills.found(namespace, prefix)[:limit]


def _ids_of(row: BackfillRow) -> list[str]:
    """Return the ids of the schedules that a backfill goes by."""
    return [one["id"] for one in json.loads(row.schedules_json)]
