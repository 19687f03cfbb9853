"""Definitions, and what is known of their runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jobs_grpc.client.records.execution import ExecutionState
from jobs_grpc.client.records.pause import Pause
from jobs_grpc.client.records.rendering import instant_text
from jobs_grpc.client.records.word import Word

STANDALONE: Final = "_standalone_"


class ApplyOutcome(Word):
    """What an `apply` did with one document."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The result of applying one document."""

    namespace: str
    workspace: str
    name: str
    outcome: ApplyOutcome
    revision: int

    def to_json(self) -> dict[str, Any]:
        return {
            "namespace": self.namespace,
            "workspace": self.workspace,
            "name": self.name,
            "outcome": self.outcome.value,
            "revision": self.revision,
        }


class ScheduleOwner(Word):
    """Who may change a schedule: the job's document, or the API."""

    DOCUMENT = "document"
    API = "api"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A rule that makes due times for a job."""

    id: str
    name: str
    rule: str
    timezone: str
    enabled: bool
    next_due_at: datetime | None = None
    owner: ScheduleOwner | None = None
    namespace: str = ""
    workspace: str = ""
    job: str = ""
    # What an API-owned schedule was made from, as JSON.
    entry_json: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    disabled_reason: str = ""
    disabled_until: datetime | None = None
    revision: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    # Of `depends_on`: the jobs that have yet to succeed before it is due.
    waits_for: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job or None,
            "namespace": self.namespace or None,
            "workspace": self.workspace or None,
            "id": self.id,
            "name": self.name or None,
            "rule": self.rule,
            "timezone": self.timezone,
            "enabled": self.enabled,
            "next_due_at": instant_text(self.next_due_at),
            "owner": self.owner.value if self.owner else None,
            "params": dict(self.params),
            "disabled_reason": self.disabled_reason or None,
            "disabled_until": instant_text(self.disabled_until),
            "revision": self.revision,
            "entry": json.loads(self.entry_json) if self.entry_json else None,
            "created_at": instant_text(self.created_at),
            "updated_at": instant_text(self.updated_at),
            "waits_for": list(self.waits_for),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatistics:
    """Counters and instants over every execution of a job; they survive restarts."""

    run_count: int = 0
    success_count: int = 0
    failure_count: int = 0
    last_run_at: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_error: str = ""
    last_state: ExecutionState | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "run_count": self.run_count,
            "success_count": self.success_count,
            "failure_count": self.failure_count,
            "last_run_at": instant_text(self.last_run_at),
            "last_success_at": instant_text(self.last_success_at),
            "last_failure_at": instant_text(self.last_failure_at),
            "last_error": self.last_error or None,
            "last_state": self.last_state.value if self.last_state else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A definition: the current revision, its schedules and its counters."""

    namespace: str
    workspace: str
    name: str
    revision: int = 1
    type: str = ""
    description: str = ""
    enabled: bool = True
    source: str = ""
    document_json: str = "{}"
    created_at: datetime | None = None
    updated_at: datetime | None = None
    next_run_at: datetime | None = None
    active: int = 0
    statistics: JobStatistics = field(default_factory=JobStatistics)
    schedules: tuple[Schedule, ...] = ()
    # What says now what happens to its due times.
    pause: Pause | None = None

    @property
    def is_standalone(self) -> bool:
        """It belongs to no workspace."""
        return self.workspace == STANDALONE

    @property
    def document(self) -> dict[str, Any]:
        """The definition as the job file's schema writes it."""
        document: dict[str, Any] = json.loads(self.document_json or "{}")
        return document

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "namespace": self.namespace,
            "workspace": self.workspace,
            "revision": self.revision,
            "type": self.type,
            "description": self.description or None,
            "enabled": self.enabled,
            "source": self.source or None,
            "created_at": instant_text(self.created_at),
            "updated_at": instant_text(self.updated_at),
            "next_run_at": instant_text(self.next_run_at),
            "active": self.active,
            **self.statistics.to_json(),
            "schedules": [schedule.to_json() for schedule in self.schedules],
            "pause": self.pause.to_json() if self.pause else None,
            "document": self.document,
        }
