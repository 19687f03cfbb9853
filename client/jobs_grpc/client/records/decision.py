"""What became of due times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.execution import Execution
from jobs_grpc.client.records.pause import Pause
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
    # The execution that stood in the way, or the pause.
    holder: str = ""
    # Where it speaks of more than one due time: up to when, and of how many (None where
    # they were not counted).
    until: datetime | None = None
    due_times: int | None = 1

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
            "until": instant_text(self.until),
            "due_times": self.due_times,
        }


class DueTimeKind(Word):
    """What can be said of an instant."""

    STARTED = "started"
    SKIPPED = "skipped"
    UNDECIDED = "undecided"
    COMING = "coming"
    IN_GAP = "in_gap"
    UNRECORDED = "unrecorded"
    NEVER_DUE = "never_due"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimeAnswer:
    """What became of an instant, or what will: a sentence, and what it rests on."""

    kind: DueTimeKind
    sentence: str
    # The schedule that it is about; empty where it is about all of the job's.
    schedule_id: str = ""
    schedule: str = ""
    due_at: datetime | None = None
    decision: Decision | None = None
    execution: Execution | None = None
    holder: Execution | None = None
    pause: Pause | None = None
    # The due times nearest to an instant that is none.
    before: datetime | None = None
    after: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "sentence": self.sentence,
            "schedule_id": self.schedule_id or None,
            "schedule": self.schedule or None,
            "due_at": instant_text(self.due_at),
            "decision": self.decision.to_json() if self.decision else None,
            "execution": self.execution.to_json() if self.execution else None,
            "holder": self.holder.to_json() if self.holder else None,
            "pause": self.pause.to_json() if self.pause else None,
            "before": instant_text(self.before),
            "after": instant_text(self.after),
        }
