"""The part of the store in memory that concerns due times: decisions and pauses."""

from __future__ import annotations

from collections.abc import Sequence

from jobs_grpc.controlplane.core.rows.changes import (
    Changes,
    DecisionRow,
    FailureStreakRow,
    PauseRow,
)
from jobs_grpc.controlplane.core.rows.schedules import JoinRow

from .store import DecisionFilter, PauseFilter


class MemoryDecisions:
    """See `storage.store.Store`."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[str, int], DecisionRow] = {}
        self._pauses: dict[str, PauseRow] = {}
        self._failure_streaks: dict[int, FailureStreakRow] = {}
        self._joins: dict[int, JoinRow] = {}

    async def decisions(
        self, wanted: DecisionFilter, limit: int
    ) -> Sequence[DecisionRow]:
        found = sorted(
            (
                row
                for row in self._decisions.values()
                if row.namespace == wanted.namespace
                and wanted.workspace in {"", row.workspace}
                and wanted.job in {"", row.job}
                and (wanted.start is None or row.due_at >= wanted.start)
                and (wanted.end is None or row.due_at < wanted.end)
                and (
                    not wanted.reasons or (row.reason or row.outcome) in wanted.reasons
                )
                and (
                    wanted.before is None
                    or (row.due_at, row.schedule_id) < wanted.before
                )
            ),
            key=lambda row: (row.due_at, row.schedule_id),
            reverse=True,
        )
        return found[:limit]

    async def decision_at(self, schedule_id: str, at: int) -> DecisionRow | None:
        for row in self._decisions.values():
            until = row.due_at if row.until is None else row.until
            if row.schedule_id == schedule_id and row.due_at <= at <= until:
                return row
        return None

    async def old_decisions(self, before: int, limit: int) -> Sequence[tuple[str, int]]:
        found = [
            key
            for key, row in self._decisions.items()
            if (row.due_at if row.until is None else row.until) < before
        ]
        return found[:limit]

    async def pause(self, pause_id: str) -> PauseRow | None:
        return self._pauses.get(pause_id)

    async def pauses(self, wanted: PauseFilter, limit: int) -> Sequence[PauseRow]:
        found = [
            row
            for row in sorted(self._pauses.values(), key=_pause_order, reverse=True)
            if row.namespace in {"", wanted.namespace}
            and (wanted.with_ended or row.ended_at is None)
            and (wanted.before is None or _pause_order(row) < wanted.before)
        ]
        return found[:limit]

    def _pauses_in_force(self) -> tuple[PauseRow, ...]:
        in_force = (row for row in self._pauses.values() if row.ended_at is None)
        return tuple(sorted(in_force, key=_pause_order))

    def _half_joins(self) -> tuple[JoinRow, ...]:
        return tuple(row for row in self._joins.values() if row.arrived_json != "{}")

    def _write_decisions(self, changes: Changes) -> None:
        self._joins.update((row.job_id, row) for row in changes.joins)
        for forgotten in changes.deleted_decisions:
            self._decisions.pop(forgotten, None)
        if (before := changes.forget_pauses_before) is not None:
            self._pauses = {
                id_: row
                for id_, row in self._pauses.items()
                if row.ended_at is None or row.ended_at >= before
            }
        self._pauses.update((row.pause_id, row) for row in changes.pauses)
        self._failure_streaks.update(
            (row.job_id, row) for row in changes.failure_streaks
        )
        for decision in changes.decisions:
            self._decisions[(decision.schedule_id, decision.due_at)] = decision
        for extended in changes.extended:
            key = (extended.schedule_id, extended.due_at)
            if key in self._decisions:
                self._decisions[key] = self._decisions[key]._replace(
                    **extended._asdict()
                )


def _pause_order(row: PauseRow) -> tuple[int, str]:
    return row.since, row.pause_id
