"""Rules that know no time: due when another job's execution ends.

Which instants those are is not known here; the control plane decides each in the commit
that ends the execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted
from jobs_grpc.schedule.rule import shared, walk

EVENTS: Final = ("job.succeeded", "job.failed", "job.finished")
_JOB: Final = re.compile(
    r"(?:([A-Za-z0-9_][A-Za-z0-9._-]{0,127})/)?([A-Za-z0-9][A-Za-z0-9._-]{0,127})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EventRule:
    """Due with each event of a job; `workspace` is empty for the listener's own."""

    event: str
    workspace: str
    job: str

    @property
    def canonical(self) -> str:
        where = f"{self.workspace}/" if self.workspace else ""
        return f"on {self.event} {where}{self.job}"

    @property
    def timezone(self) -> str:
        return "UTC"

    def next_after(self, after: int) -> int | None:
        del after
        return None

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)


def event_rule(value: object) -> EventRule:
    """Return the rule of `{event: job.succeeded, job: X}`; X may be `workspace/X`."""
    if not isinstance(value, Mapping):
        raise RuleError("on must be an object with event and job", field="on")
    for key in value:
        if key not in {"event", "job"}:
            hint = did_you_mean(str(key), ("event", "job"))
            raise RuleError(f"unknown key {quoted(key)} of on{hint}", field="on")
    event, job = value.get("event"), value.get("job")
    if event not in EVENTS:
        hint = did_you_mean(str(event), EVENTS)
        raise RuleError(
            f"event must be one of {', '.join(EVENTS)}, got {quoted(event)}{hint}",
            field="on",
        )
    found = _JOB.fullmatch(job) if isinstance(job, str) else None
    if found is None:
        raise RuleError(
            "job must be the name of a job, or workspace/name, got " + quoted(job),
            field="on",
        )
    workspace, name = found.group(1) or "", found.group(2)
    return shared(
        ("on", event, workspace, name), lambda: EventRule(str(event), workspace, name)
    )
