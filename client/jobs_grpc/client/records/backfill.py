"""Backfills: executions for due times of the past, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.rendering import instant_text
from jobs_grpc.client.records.word import Word


class BackfillState(Word):
    """`cancelling` until the last of its executions has ended."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    UNRECOGNIZED = "unrecognized"


class BackfillOrder(Word):
    """Which due times come first."""

    OLDEST = "oldest"
    NEWEST = "newest"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A backfill and how far it has come; a dry run has no id and no state."""

    id: str
    namespace: str
    workspace: str
    job: str
    schedules: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    order: BackfillOrder
    parallel: int
    priority: int
    state: BackfillState | None
    # Due times in the range; `left_out` of them were started before.
    total: int
    started: int = 0
    left_out: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    cursor: datetime | None = None
    requested_by: str = ""
    reason: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        return self.state in {BackfillState.CANCELLED, BackfillState.COMPLETED}

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id or None,
            "job": self.job,
            "namespace": self.namespace,
            "workspace": self.workspace,
            "schedules": list(self.schedules),
            "from": instant_text(self.start),
            "to": instant_text(self.end),
            "order": self.order.value,
            "parallel": self.parallel,
            "priority": self.priority,
            "state": self.state.value if self.state else None,
            "total": self.total,
            "started": self.started,
            "left_out": self.left_out,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "cursor": instant_text(self.cursor),
            "requested_by": self.requested_by or None,
            "reason": self.reason or None,
            "created_at": instant_text(self.created_at),
            "updated_at": instant_text(self.updated_at),
            "finished_at": instant_text(self.finished_at),
        }
