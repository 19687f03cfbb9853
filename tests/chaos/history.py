"""What happened, as far as the judge may know it: plain records, kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """An execution that the client was told is durable."""

    id: str
    job: str
    at: float
    lines: int
    code: int
    may_run_twice: bool
    # No fault that came to its worker is an excuse.
    must_succeed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """What a running job wrote down itself: `event` is "start" or "end"."""

    event: str
    execution: str
    attempt: int
    fence: int
    pid: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An execution as the API tells it at the end."""

    id: str
    job: str
    trigger: str
    state: str
    attempt: int
    fence: int
    exit_code: int | None
    signal: str
    scheduled_for: float
    started_at: float | None
    finished_at: float | None
    dropped: int = 0
    # Of its last attempt; None where it was not read.
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision as the API tells it; `until` where it speaks of a range."""

    job: str
    due_at: float
    outcome: str
    reason: str
    execution: str
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticking:
    """A job that is due whenever the seconds are a multiple of `every`."""

    job: str
    every: int
    # Acknowledged then; nothing before is expected.
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What was done, to whom, from when until when."""

    name: str
    target: str
    began: float
    healed: float
    # Seconds from the heal until the target did its work again.
    recovered: float | None


@dataclass(slots=True, kw_only=True)
class History:
    """Everything about one run."""

    seed: int
    began: float
    ended: float = 0.0
    submitted: list[Submitted] = field(default_factory=list)
    # Submissions whose answer never came: they may or may not exist.
    unanswered: int = 0
    cancelled: set[str] = field(default_factory=set)
    # Main processes that a fault killed, by (execution, fence).
    killed: set[tuple[str, int]] = field(default_factory=set)
    witnessed: list[Witnessed] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    # The states of a first look, by id; a final state must not change after it.
    told_before: dict[str, str] = field(default_factory=dict)
    decided: list[Decided] = field(default_factory=list)
    ticking: list[Ticking] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    # Job processes that live although nothing should run: "pid command".
    leftovers: list[str] = field(default_factory=list)
    # Faults that were to be, and did not come to pass.
    misfires: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it as JSON, to be looked into."""
        plain = asdict(self)
        plain["cancelled"] = sorted(self.cancelled)
        plain["killed"] = sorted(self.killed)
        path.write_text(json.dumps(plain, indent=1))
