"""Circuit breakers: what keeps failing and is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.rendering import instant_text
from jobs_grpc.client.records.word import Word


class BreakerState(Word):
    """What a breaker lets through: everything, nothing, or one attempt as a probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    UNRECOGNIZED = "unrecognized"


class BreakerKind(Word):
    """What a breaker stands for."""

    JOB = "job"
    DEPENDENCY = "dependency"
    WORKER = "worker"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A circuit breaker."""

    # "job:backup", "orders-db", "worker:w1"; "orders-db@w1" is that of one worker.
    name: str
    namespace: str
    kind: BreakerKind
    state: BreakerState
    # Failures in a row, while it is closed.
    failures: int = 0
    # Successful probes, while it is half-open.
    successes: int = 0
    # When an open one lets a probe through; `None` if only a reset closes it.
    until: datetime | None = None
    reason: str = ""
    changed_at: datetime | None = None
    # How often it has opened.
    trips: int = 0
    # The execution that is let through.
    probe: str = ""
    worker: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "namespace": self.namespace or None,
            "kind": self.kind.value,
            "state": self.state.value,
            "failures": self.failures,
            "successes": self.successes,
            "until": instant_text(self.until),
            "reason": self.reason or None,
            "changed_at": instant_text(self.changed_at),
            "trips": self.trips,
            "probe": self.probe or None,
            "worker": self.worker or None,
        }
