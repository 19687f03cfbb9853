"""What became of due times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.rendering import instant_text
from jobs_grpc.client.records.word import Word


class DecisionOutcome(Word):
    """A due time either started an execution or was passed over."""

    STARTED = "started"
    SKIPPED = "skipped"
    UNRECOGNIZED = "unrecognized"


class SkipReason(Word):
    """Why a due time was passed over."""

    OVERLAP = "overlap"
    MISSED_WINDOW = "missed_window"
    DISABLED = "disabled"
    DUPLICATE = "duplicate"
    PAUSED = "paused"
    BLACKOUT = "blackout"
    NO_TARGET = "no_target"
    LIMIT = "limit"
    EXHAUSTED = "exhausted"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one due time; there is exactly one for each."""

    schedule_id: str
    namespace: str
    workspace: str
    job: str
    due_at: datetime | None
    decided_at: datetime | None
    outcome: DecisionOutcome
    reason: SkipReason | None = None
    execution_id: str = ""
    holder: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "namespace": self.namespace,
            "workspace": self.workspace,
            "schedule_id": self.schedule_id,
            "due_at": instant_text(self.due_at),
            "decided_at": instant_text(self.decided_at),
            "outcome": self.outcome.value,
            "reason": self.reason.value if self.reason else None,
            "execution_id": self.execution_id or None,
            "holder": self.holder or None,
        }
