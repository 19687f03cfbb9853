"""What applying documents would change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobs_grpc.client.records.job import ApplyOutcome
from jobs_grpc.client.records.rendering import instant_text, milliseconds
from jobs_grpc.client.records.word import Word


class DueTimeChange(Word):
    """What becomes of a due time by the change."""

    KEPT = "kept"
    ADDED = "added"
    REMOVED = "removed"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """One key of a document that differs, as JSON; a side that is absent is empty."""

    key: str
    before_json: str
    after_json: str

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "before": json.loads(self.before_json) if self.before_json else None,
            "after": json.loads(self.after_json) if self.after_json else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDueTime:
    """An instant at which the job is due, before or after the change."""

    due_at: datetime
    change: DueTimeChange
    # The calendar of a blackout that has its day: it would be skipped.
    blackout: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "due_at": instant_text(self.due_at),
            "change": self.change.value,
            "blackout": self.blackout or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """Clocks of a zone of the job that go forward (or back: a negative shift)."""

    at: datetime
    timezone: str
    shift: timedelta

    def to_json(self) -> dict[str, Any]:
        return {
            "at": instant_text(self.at),
            "timezone": self.timezone,
            # Not by a floor: half an hour back is -1800000.
            "shift_ms": round(self.shift.total_seconds() * 1_000),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What one document would change."""

    namespace: str
    workspace: str
    name: str
    outcome: ApplyOutcome
    revision: int
    changes: tuple[KeyChange, ...]
    due_times: tuple[PlannedDueTime, ...]
    clock_changes: tuple[ClockChange, ...]
    # How long a run lasts, by the last ones that succeeded; None if there are none.
    expected_duration: timedelta | None
    measured: int
    # Due times at which an earlier run would not be over; unknown without a duration.
    collisions: tuple[datetime, ...]
    overlap: str
    # Connected workers that may run it.
    workers: tuple[str, ...]
    follows_ends: bool

    @property
    def changes_something(self) -> bool:
        return self.outcome is not ApplyOutcome.UNCHANGED

    def to_json(self) -> dict[str, Any]:
        is_known = self.expected_duration is not None
        return {
            "namespace": self.namespace,
            "workspace": self.workspace,
            "name": self.name,
            "outcome": self.outcome.value,
            "revision": self.revision,
            "changes": [one.to_json() for one in self.changes],
            "due_times": [one.to_json() for one in self.due_times],
            "follows_ends": self.follows_ends,
            "clock_changes": [one.to_json() for one in self.clock_changes],
            "expected_duration_ms": milliseconds(self.expected_duration),
            "measured": self.measured,
            "overlap": self.overlap,
            "collisions": [instant_text(one) for one in self.collisions]
            if is_known
            else None,
            "workers": list(self.workers),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What documents would change, in their order."""

    planned_at: datetime | None
    jobs: tuple[JobPlan, ...]
    workers_connected: int

    @property
    def changes_something(self) -> bool:
        return any(one.changes_something for one in self.jobs)

    def to_json(self) -> dict[str, Any]:
        return {
            "planned_at": instant_text(self.planned_at),
            "workers_connected": self.workers_connected,
            "data": [one.to_json() for one in self.jobs],
        }
