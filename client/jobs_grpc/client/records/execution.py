"""One run of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from jobs_grpc.client.records.rendering import instant_text, milliseconds
from jobs_grpc.client.records.word import Word


class ExecutionState(Word):
    """Where an execution is in its life."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    SKIPPED = "skipped"
    UNRECOGNIZED = "unrecognized"


FINAL_STATES: Final = frozenset(
    {
        ExecutionState.SUCCEEDED,
        ExecutionState.FAILED,
        ExecutionState.TIMED_OUT,
        ExecutionState.CANCELLED,
        ExecutionState.LOST,
        ExecutionState.SKIPPED,
    }
)


class Trigger(Word):
    """Why an execution exists."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    API = "api"
    RETRY = "retry"
    BACKFILL = "backfill"
    EVENT = "event"
    FALLBACK = "fallback"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the operating system counted for the process tree of one attempt."""

    cpu_user: timedelta
    cpu_system: timedelta
    peak_memory_bytes: int

    @property
    def cpu_seconds(self) -> float:
        """User and system time together."""
        return (self.cpu_user + self.cpu_system).total_seconds()

    def to_json(self) -> dict[str, Any]:
        return {
            "cpu_user_ms": milliseconds(self.cpu_user),
            "cpu_system_ms": milliseconds(self.cpu_system),
            "peak_memory_bytes": self.peak_memory_bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSent:
    """One step of the ladder that ends a process tree."""

    signal: str
    sent_at: datetime | None
    processes: int

    def to_json(self) -> dict[str, Any]:
        return {
            "signal": self.signal,
            "sent_at": instant_text(self.sent_at),
            "processes": self.processes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReceipt:
    """What was done to end a process tree, and what was left of it."""

    signals: tuple[SignalSent, ...] = ()
    survivors: tuple[str, ...] = ()
    output_leaked: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "signals": [signal.to_json() for signal in self.signals],
            "survivors": list(self.survivors),
            "output_leaked": self.output_leaked,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of an execution; `outcome` is "" while it runs.

    An attempt that was taken back and given again is "released".
    """

    attempt: int
    fence: int
    worker: str = ""
    leased_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: str = ""
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    usage: Usage | None = None
    output_bytes: int | None = None
    output_dropped: int = 0
    receipt: KillReceipt | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "attempt": self.attempt,
            "fence": self.fence,
            "worker": self.worker or None,
            "leased_at": instant_text(self.leased_at),
            "started_at": instant_text(self.started_at),
            "finished_at": instant_text(self.finished_at),
            "outcome": self.outcome or None,
            "exit_code": self.exit_code,
            "signal": self.signal or None,
            "error": self.error or None,
            "usage": self.usage.to_json() if self.usage else None,
            "output_bytes": self.output_bytes,
            "output_dropped": self.output_dropped,
            "receipt": self.receipt.to_json() if self.receipt else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionLink:
    """An execution that follows another: as "retry", "requeue" or "fallback"."""

    kind: str
    origin_id: str
    execution_id: str

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "origin_id": self.origin_id,
            "execution_id": self.execution_id,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One run of a job, as it stood when the server answered."""

    id: str
    namespace: str
    workspace: str
    job: str
    state: ExecutionState
    trigger: Trigger
    job_revision: int = 0
    type: str = ""
    queue: str = ""
    priority: int = 0
    scheduled_for: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    worker: str = ""
    attempt: int = 0
    fence: int = 0
    usage: Usage | None = None
    result_json: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    output_bytes: int | None = None
    output_dropped: int = 0
    requested_by: str = ""
    schedule_id: str = ""
    receipt: KillReceipt | None = None
    # These only `get` fills in. All attempts, where there was more than one.
    attempts: tuple[Attempt, ...] = ()
    # What it follows, and what follows it.
    links: tuple[ExecutionLink, ...] = ()
    # Why it is a dead letter; empty if it is none.
    dead_letter_reason: str = ""
    # Which limit it reached: "attempt", "queue", "total" or "silence".
    timed_out_by: str = ""

    @property
    def retry_of(self) -> str | None:
        """The id of the execution that this one follows, if it follows one."""
        own = (link for link in self.links if link.execution_id == self.id)
        return next((link.origin_id for link in own), None)

    @property
    def is_final(self) -> bool:
        """Nothing more happens to it (a lost one may still be resolved)."""
        return self.state in FINAL_STATES

    @property
    def duration(self) -> timedelta | None:
        """From start to finish of the last attempt; absent before it has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    @property
    def result(self) -> Any:
        """What a function returned; `None` for processes."""
        return json.loads(self.result_json) if self.result_json else None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "job": self.job,
            "namespace": self.namespace,
            "workspace": self.workspace,
            "type": self.type,
            "state": self.state.value,
            "trigger": self.trigger.value,
            "queue": self.queue,
            "priority": self.priority,
            "scheduled_for": instant_text(self.scheduled_for),
            "created_at": instant_text(self.created_at),
            "started_at": instant_text(self.started_at),
            "finished_at": instant_text(self.finished_at),
            "duration_ms": milliseconds(self.duration),
            "exit_code": self.exit_code,
            "signal": self.signal or None,
            "error": self.error or None,
            "worker": self.worker or None,
            "attempt": self.attempt,
            "job_revision": self.job_revision,
            "params": dict(self.params),
            "result": self.result,
            "usage": self.usage.to_json() if self.usage else None,
            "output_bytes": self.output_bytes,
            "output_dropped": self.output_dropped,
            "requested_by": self.requested_by or None,
            "schedule_id": self.schedule_id or None,
            "receipt": self.receipt.to_json() if self.receipt else None,
            "attempts": [one.to_json() for one in self.attempts],
            "links": [one.to_json() for one in self.links],
            "dead_letter_reason": self.dead_letter_reason or None,
            "timed_out_by": self.timed_out_by or None,
        }
