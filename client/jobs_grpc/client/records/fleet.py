"""Queues and workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.rendering import instant_text
from jobs_grpc.client.records.word import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A named waiting line and its share of the slots."""

    name: str
    weight: int
    pending: int = 0
    active: int = 0
    scheduled: int = 0
    completed: int = 0
    failed: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "weight": self.weight,
            "pending": self.pending,
            "active": self.active,
            "scheduled": self.scheduled,
            "completed": self.completed,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """Every queue, and the capacity they share."""

    queues: tuple[Queue, ...]
    workers_total: int = 0
    workers_active: int = 0
    workers_idle: int = 0
    slots_total: int = 0
    slots_used: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "data": [queue.to_json() for queue in self.queues],
            "next_page_token": None,
            "workers": {
                "total": self.workers_total,
                "active": self.workers_active,
                "idle": self.workers_idle,
            },
            "slots": {"total": self.slots_total, "used": self.slots_used},
        }


class WorkerState(Word):
    """Whether a worker can be reached and takes work."""

    ONLINE = "online"
    DISCONNECTED = "disconnected"
    OFFLINE = "offline"
    DRAINING = "draining"
    CORDONED = "cordoned"
    DRAINED = "drained"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A registered worker daemon."""

    id: str
    name: str
    state: WorkerState
    labels: Mapping[str, str] = field(default_factory=dict)
    slots: int = 0
    slots_used: int = 0
    functions: tuple[str, ...] = ()
    version: str = ""
    connected_at: datetime | None = None
    last_heartbeat_at: datetime | None = None
    # It is given no new work, since when, and why.
    cordoned: bool = False
    cordoned_at: datetime | None = None
    cordon_reason: str = ""
    # When a drain ends what still runs.
    drain_until: datetime | None = None
    # As the worker says; `labels` are those with the server's over them.
    own_labels: Mapping[str, str] = field(default_factory=dict)
    # Why it is given no work though nobody said so: its disk, its breaker.
    no_work_reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state.value,
            "labels": dict(self.labels),
            "slots": self.slots,
            "slots_used": self.slots_used,
            "functions": list(self.functions),
            "version": self.version or None,
            "connected_at": instant_text(self.connected_at),
            "last_heartbeat_at": instant_text(self.last_heartbeat_at),
            "cordoned": self.cordoned,
            "cordoned_at": instant_text(self.cordoned_at),
            "cordon_reason": self.cordon_reason or None,
            "drain_until": instant_text(self.drain_until),
            "own_labels": dict(self.own_labels),
            "no_work_reason": self.no_work_reason or None,
        }
