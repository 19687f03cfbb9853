"""Small stand-ins for the parts around the one that is tested."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.work import (
    Command,
    Delivery,
    Lease,
    Outcome,
    Progress,
    ReportKind,
    Result,
)


class StillClock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> int:
        return int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


def a_lease(fence: int = 1, **fields: Any) -> Lease:
    """Return a lease of a command; at least once unless said."""
    return Lease(
        **{
            "fence": fence,
            "execution_id": f"execution-{fence}",
            "attempt": 1,
            "namespace": "default",
            "workspace": "_standalone_",
            "job": "a-job",
            "delivery": Delivery.AT_LEAST_ONCE,
            "call": Command("true"),
            **fields,
        }
    )


def a_result(outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> Result:
    """Return the result of an attempt that took a second."""
    return Result(outcome, 1_000_000_000, 1_001_000_000, **fields)


@dataclass
class RecordingRunner:
    """Begins nothing, and remembers what it was asked for."""

    begun: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    released: list[int] = field(default_factory=list)

    def reserve(self, attempt: Attempt) -> None:
        attempt.place = attempt.fence

    def begin(self, attempt: Attempt) -> None:
        self.begun.append(attempt.fence)

    def cancel(self, attempt: Attempt) -> None:
        self.cancelled.append(attempt.fence)

    def release(self, attempt: Attempt) -> None:
        self.released.append(attempt.fence)


@dataclass
class RecordingJournal:
    """A journal on no disk."""

    begun: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)

    has_room: bool = True
    reserved: set[int] = field(default_factory=set)

    def reserve(self, attempt: Attempt) -> bool:
        if self.has_room:
            self.reserved.add(attempt.fence)
        return self.has_room

    def unreserve(self, attempt: Attempt) -> None:
        self.reserved.discard(attempt.fence)

    def begin(self, attempts: Iterable[Attempt]) -> None:
        self.begun += [attempt.fence for attempt in attempts]

    def end(self, attempt: Attempt) -> None:
        self.ended.append(attempt.fence)

    def keep(self, attempt: Attempt) -> None:
        self.kept.append(attempt.fence)

    def acknowledge(self, at: int, fences: Iterable[int]) -> None:
        self.acknowledged += fences

    def forget(self, fences: Iterable[int]) -> None:
        self.forgotten += fences

    def after_notes(self, callback: Callable[[], None]) -> None:
        callback()


@dataclass
class UnshippedOutputs:
    """Says of which attempts output is still to be shipped."""

    fences: set[int] = field(default_factory=set)
    totals: dict[int, int] = field(default_factory=dict)

    def __contains__(self, fence: int) -> bool:
        return fence in self.fences

    def track(self, attempt: Attempt, spool: Path) -> None:
        self.fences.add(attempt.fence)

    def grown(self, fence: int, size: int) -> None:
        pass

    def end(self, fence: int, total: int) -> None:
        self.totals[fence] = total


@dataclass
class RecordingListener:
    """Hears how attempts go."""

    starts: list[int] = field(default_factory=list)
    results: dict[int, Result] = field(default_factory=dict)
    progress: list[Progress] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def started(self, attempt: Attempt, at: int, pid: int = 0) -> None:
        self.starts.append(attempt.fence)

    def progressed(self, attempt: Attempt, progress: Progress) -> None:
        self.progress.append(progress)

    def ended(self, attempt: Attempt, result: Result, *, is_durable: bool) -> None:
        assert attempt.fence not in self.results, "an attempt ends once"
        self.results[attempt.fence] = result
        self.heard.set()


def told(news: Sequence[tuple[ReportKind, Attempt]]) -> list[tuple[str, int]]:
    """Return a batch of reports as (kind, fence)."""
    return [(kind.value, attempt.fence) for kind, attempt in news]
