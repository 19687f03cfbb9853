"""Why an execution is where it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.execution import ExecutionState
from jobs_grpc.client.records.rendering import instant_text
from jobs_grpc.client.records.word import Word


class WaitCause(Word):
    """What keeps an execution where it is."""

    SCHEDULED = "scheduled"
    RETRY = "retry"
    HELD = "held"
    CONCURRENCY = "concurrency"
    NO_WORKER = "no_worker"
    WORKER_UNAVAILABLE = "worker_unavailable"
    TOO_FEW_SLOTS = "too_few_slots"
    SLOTS_BUSY = "slots_busy"
    NEXT = "next"
    LEASED = "leased"
    RUNNING = "running"
    CANCELLING = "cancelling"
    ENDED = "ended"
    BREAKER = "breaker"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReason:
    """One thing that keeps an execution where it is."""

    cause: WaitCause
    text: str
    # Ids of executions in the way; at most ten.
    holders: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    # When it ends by itself, where that is known.
    until: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "cause": self.cause.value,
            "text": self.text,
            "holders": list(self.holders),
            "workers": list(self.workers),
            "until": instant_text(self.until),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What an execution waits for, and how far back it stands."""

    execution_id: str
    state: ExecutionState
    # The reasons and the place in one or two sentences.
    summary: str
    reasons: tuple[WaitReason, ...] = ()
    # What it stands in line for, and its place there: 1 is next. `None` without a line.
    line: str | None = None
    place: int | None = None
    waiting: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "state": self.state.value,
            "summary": self.summary,
            "reasons": [reason.to_json() for reason in self.reasons],
            "line": self.line,
            "place": self.place,
            "waiting": self.waiting,
        }
