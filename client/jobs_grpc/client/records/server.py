"""The control plane about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.rendering import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """Version, term and size of the control plane that answered."""

    version: str
    term: int
    started_at: datetime | None = None
    store: str = ""
    jobs: int = 0
    schedules: int = 0
    active_executions: int = 0
    timezone_data: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "term": self.term,
            "started_at": instant_text(self.started_at),
            "store": self.store or None,
            "jobs": self.jobs,
            "schedules": self.schedules,
            "active_executions": self.active_executions,
            "timezone_data": self.timezone_data or None,
        }
