"""The timeline of each job: when it ran, when it waited, which due times were skipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .outcome import Outcome, Row, short_name

Span = tuple[int, int]


@dataclass(slots=True)
class Lane:
    """One row of the picture. Spans are half-open and in order, those that meet are one."""

    row: Row
    running: list[Span] = field(default_factory=list)
    waiting: list[Span] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)


def lanes(outcome: Outcome) -> list[Lane]:
    """Return a lane for each job, in the order of queues and names."""
    found = {row.name: Lane(row) for row in outcome.jobs()}
    for one in outcome.executions.values():
        lane = found[short_name(one.key)]
        start = outcome.until if one.started_at is None else one.started_at
        end = outcome.until if one.finished_at is None else one.finished_at
        if one.started_at is None:
            start = end
        if start > one.ready_at:
            lane.waiting.append((one.ready_at, start))
        if one.started_at is not None:
            lane.running.append((start, end))
    for skipped in outcome.skipped:
        found[short_name(skipped.key)].skipped.append(skipped.due_at)
    for lane in found.values():
        lane.running = merged(lane.running)
        lane.waiting = merged(lane.waiting)
        lane.skipped.sort()
    return list(found.values())


def merged(spans: Iterable[Span], gap: int = 0) -> list[Span]:
    """Return the spans in order, those at most `gap` apart as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
