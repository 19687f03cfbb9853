"""What is told of an execution besides its record: attempts, links, its trace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.execution import ExecutionState
from jobs_grpc.client.records.rendering import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One thing that happened; `at` is absent where nobody knows when."""

    at: datetime | None
    kind: str
    text: str
    detail_json: str = "{}"

    @property
    def detail(self) -> dict[str, Any]:
        """What a program wants to know of it."""
        found: dict[str, Any] = json.loads(self.detail_json or "{}")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "at": instant_text(self.at),
            "kind": self.kind,
            "text": self.text,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The story of an execution, in order."""

    execution_id: str
    state: ExecutionState
    entries: tuple[TraceEntry, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "state": self.state.value,
            "entries": [entry.to_json() for entry in self.entries],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """The mark on an execution that failed for good."""

    execution_id: str
    namespace: str
    workspace: str
    job: str
    failed_at: datetime | None
    state: ExecutionState
    reason: str
    error: str = ""
    attempts: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "namespace": self.namespace,
            "workspace": self.workspace,
            "job": self.job,
            "failed_at": instant_text(self.failed_at),
            "state": self.state.value,
            "reason": self.reason,
            "error": self.error or None,
            "attempts": self.attempts,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """A dead letter and the execution that was made of it."""

    origin_id: str
    execution_id: str

    def to_json(self) -> dict[str, Any]:
        return {"origin_id": self.origin_id, "execution_id": self.execution_id}
