"""Due times to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs_grpc.client.records.decision import SkipReason
from jobs_grpc.client.records.rendering import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTime:
    """One due time to come, as far as can be known now."""

    due_at: datetime
    # When its execution starts: with jitter, later than it is due.
    starts_at: datetime
    # The names of the schedules that name it, or their rules.
    schedules: tuple[str, ...] = ()
    # Why it will start nothing, where that is known.
    skip: SkipReason | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "due_at": instant_text(self.due_at),
            "starts_at": instant_text(self.starts_at),
            "schedules": list(self.schedules),
            "skip": self.skip.value if self.skip else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimes:
    """The next due times of a job, and the zone of its schedules."""

    data: tuple[DueTime, ...]
    timezone: str

    def to_json(self) -> dict[str, Any]:
        return {
            "data": [one.to_json() for one in self.data],
            "timezone": self.timezone,
        }
