"""What applying a definition would change; nothing is changed by asking.

Pure: what stands (a job of the term, or none) and what is wanted go in, a `Plan` comes
out. Due times are compared up to the instant to which both lists are known, so that a rule
that is due less often does not look as if due times had gone.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from jobs_grpc.controlplane.core.state.job import JobSpec, Overlap
from jobs_grpc.controlplane.core.state.live import Job, Schedule, Session
from jobs_grpc.controlplane.core.waiting.lines import is_eligible
from jobs_grpc.schedule import AfterEndRule, ClockChange, clock_changes

KEPT: Final = "kept"
ADDED: Final = "added"
REMOVED: Final = "removed"
# As many as a zone has in ten years.
_MOST_CHANGES: Final = 20
# The last instant that rules can name.
_END: Final = 250_250_774_400 * 1_000_000


class KeyChange(NamedTuple):
    """One key of the document, `overlap.policy`; a side that is absent is empty."""

    key: str
    before: str
    after: str


class DueTime(NamedTuple):
    """An instant at which the job is due, before or after the change."""

    at: int
    change: str
    # The calendar whose days it may not start on; it will be skipped.
    blackout: str


class Plan(NamedTuple):
    """What one document would change."""

    changes: tuple[KeyChange, ...]
    due_times: tuple[DueTime, ...]
    clock_changes: tuple[tuple[str, ClockChange], ...]
    # Due times that meet the run before, if runs last as long as they did; absent where
    # nobody knows how long that is.
    collisions: tuple[int, ...] | None
    # A schedule counts from the end of runs, so that its due times are not known.
    follows_ends: bool


def plan(
    standing: Job | None, wanted: JobSpec, *, now: int, count: int, length: int | None
) -> Plan:
    """Compare a job with what it is to become.

    `count` due times of each side are looked at, `length` is how long a run lasts.
    """
    before = _next(_schedules(standing), now, count) if standing else {}
    schedules = _schedules_after(standing, wanted)
    after = _next(schedules, now, count)
    horizon = min(
        (max(one) for one in (before, after) if len(one) == count),
        default=max([now, *before, *after]),
    )
    due = tuple(_compared(before, after, horizon))
    return Plan(
        changes=tuple(
            key_changes(
                json.loads(standing.spec.document_json) if standing else {},
                json.loads(wanted.document_json),
            )
        ),
        due_times=due,
        clock_changes=tuple(_clock_changes(schedules, now, horizon)),
        collisions=(
            None
            if length is None
            else tuple(
                collisions(
                    [
                        one.at
                        for one in due
                        if one.change != REMOVED and not one.blackout
                    ],
                    wanted,
                    length,
                )
            )
        ),
        follows_ends=any(isinstance(one.spec.rule, AfterEndRule) for one in schedules),
    )


def matching(spec: JobSpec, sessions: Iterable[Session]) -> list[str]:
    """Return the names of the connected workers that may run the job."""
    return sorted(
        session.worker
        for session in sessions
        if session.stream is not None
        and session.slots >= spec.slots
        and is_eligible(session, spec.place)
    )


def key_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = ""
) -> Iterator[KeyChange]:
    """Yield what differs between two documents, objects key by key."""
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new and (key in before) == (key in after):
            continue
        path = f"{prefix}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from key_changes(old, new, f"{path}.")
        else:
            yield KeyChange(
                path,
                _text(old) if key in before else "",
                _text(new) if key in after else "",
            )


def collisions(due: Sequence[int], spec: JobSpec, length: int) -> Iterator[int]:
    """Yield the due times at which earlier runs are not over.

    A run lasts `length`, or until its timeout. What a policy lets wait begins when there
    is room, and what it skips takes none.
    """
    length = min(length, spec.timeout)
    ends: list[int] = []
    for at in due:
        while ends and ends[0] <= at:
            heapq.heappop(ends)
        if ends:
            yield at
        if spec.overlap is Overlap.QUEUE and ends:
            if len(ends) <= spec.max_queued:
                heapq.heappush(ends, max(ends) + length)
        elif spec.overlap is Overlap.REPLACE:
            ends = [at + length]
        elif len(ends) < spec.max_active:
            heapq.heappush(ends, at + length)


def _schedules(job: Job) -> list[Schedule]:
    return list(job.schedules.values()) if job.enabled else []


def _schedules_after(standing: Job | None, wanted: JobSpec) -> list[Schedule]:
    """Return the schedules as they will be: those of the API stay, switches too."""
    # What `enable` and `disable` said holds until the document changes.
    is_same = standing is not None and (
        standing.spec.document_json == wanted.document_json
    )
    is_enabled = standing.enabled if standing and is_same else wanted.enabled
    if not is_enabled:
        return []
    known = standing.schedules if standing is not None else {}
    # Made for this question; no term knows it.
    job = standing or Job(
        job_id=0,
        spec=wanted,
        revision=0,
        override=None,
        source="",
        created_at=0,
        updated_at=0,
    )
    found = []
    for spec in wanted.schedules:
        old = known.get(spec.id)
        found.append(
            Schedule(
                job=job,
                spec=spec,
                cursor=0,
                object=old.object if old else None,
                started=old.started if old else 0,
            )
        )
    return found + [one for one in known.values() if not one.is_of_document]


def _next(schedules: Sequence[Schedule], now: int, count: int) -> dict[int, str]:
    """Return the next due times, each with the blackout that it falls into, if any."""
    found: dict[int, str] = {}
    for at, blackout in heapq.merge(
        *(_due_of(schedule, now, count) for schedule in schedules)
    ):
        if at not in found and len(found) == count:
            break
        # Another schedule that names the instant may start the job.
        found[at] = min(found.get(at, blackout), blackout)
    return found


def _due_of(schedule: Schedule, now: int, count: int) -> Iterator[tuple[int, str]]:
    spec = schedule.spec
    left = None if spec.max_runs is None else spec.max_runs - schedule.started
    start = max(now, (schedule.disabled_until or 0) - 1)
    if not schedule.is_enabled_at(start + 1):
        return
    for at in spec.rule.between(start, _END, count):
        if left is not None and left <= 0:
            return
        blackout = spec.blackout.covers(at) if spec.blackout is not None else ""
        if left is not None and not blackout:
            left -= 1
        yield at, blackout


def _compared(
    before: Mapping[int, str], after: Mapping[int, str], horizon: int
) -> Iterator[DueTime]:
    for at in sorted({*before, *after}):
        if at > horizon:
            return
        if at not in after:
            yield DueTime(at, REMOVED, before[at])
        else:
            yield DueTime(at, KEPT if at in before else ADDED, after[at])


def _clock_changes(
    schedules: Sequence[Schedule], now: int, horizon: int
) -> Iterator[tuple[str, ClockChange]]:
    zones = sorted({one.spec.rule.timezone for one in schedules})
    found = [
        (zone, change) for zone in zones for change in clock_changes(zone, now, horizon)
    ]
    yield from sorted(found, key=lambda one: one[1].at)[:_MOST_CHANGES]


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
