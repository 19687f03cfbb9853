"""What will come due: the schedules of a job as one, as far as can be known now."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple

from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, Pauses

from .alarms import rule_now, start_of

# Days of blackouts in a row, each jumped over, before a next run is given up.
_MOST_JUMPS: Final = 1_500
_NO_PAUSES: Final = Pauses()


class Upcoming(NamedTuple):
    """One due time to come, whichever schedules name it."""

    due_at: int
    # With jitter it starts later than it is due.
    starts_at: int
    # By their names, or by their rules where they have none.
    schedules: tuple[str, ...]
    # Why it will start nothing; empty if it will start something, or may.
    skip: str


def upcoming(
    job: Job, after: int, count: int, pauses: Pauses = _NO_PAUSES
) -> list[Upcoming]:
    """Return the next due times later than an instant, in order.

    Fewer where the schedules run out. Overlap, pauses to come and outages are not
    foreseen; nor is an early end of the pauses in force.
    """
    found: list[Upcoming] = []
    for due, schedule, skip in heapq.merge(
        *(_of_schedule(one, after, pauses) for one in job.schedules.values()),
        key=lambda one: one[0],
    ):
        spec = schedule.spec
        one = Upcoming(
            due, start_of(schedule, due), (spec.name or spec.rule.canonical,), skip
        )
        if found and found[-1].due_at == due:
            found[-1] = _both(found[-1], one)
        elif len(found) == count:
            break
        else:
            found.append(one)
    return found


def next_start(job: Job, pauses: Pauses, now: int) -> int | None:
    """Return the next due time that starts something, or the end of the pause that
    keeps it until then; None if there is none as things stand.

    As little is foreseen as in `upcoming`.
    """
    if not job.enabled:
        return None
    found = (_next_of(one, pauses, now) for one in job.schedules.values())
    return min((at for at in found if at is not None), default=None)


def _next_of(schedule: Schedule, pauses: Pauses, now: int) -> int | None:
    spec, after = schedule.spec, _search_from(schedule, pauses, now)
    if after is None:
        return None
    rule = rule_now(schedule)
    for _ in range(_MOST_JUMPS):
        due = rule.next_after(after)
        if due is None:
            return None
        if spec.blackout is not None and spec.blackout.covers(due):
            free = spec.blackout.free_from(due)
            if free is None:
                return None
            # Where clocks change at midnight, a day may seem to begin too early.
            after = max(free - 1, due)
            continue
        pause = pauses.at(schedule, due) if pauses else None
        if pause is None:
            return max(due, now)
        if pause.until is None:
            return None
        if pause.meanwhile is not Meanwhile.DROP:
            return _after_pauses(schedule, pauses, pause.until)
        after = pause.until - 1
    return None


def _search_from(schedule: Schedule, pauses: Pauses, now: int) -> int | None:
    """Return after which instant something may start; None if nothing does any more."""
    spec = schedule.spec
    if spec.max_runs is not None and schedule.started >= spec.max_runs:
        return None
    if not schedule.is_enabled_at(now):
        until = schedule.disabled_until
        return None if until is None else max(now, until - 1)
    pause = pauses.over(schedule) if pauses else None
    keeps = pause is not None and pause.meanwhile is not Meanwhile.DROP
    # What has come meanwhile is started, too.
    return schedule.cursor if keeps else now


def _after_pauses(schedule: Schedule, pauses: Pauses, at: int) -> int | None:
    """Return when what is kept until an instant is let go: another may keep it then."""
    while (pause := pauses.at(schedule, at)) is not None:
        if pause.until is None:
            return None
        at = pause.until
    return at


def _of_schedule(
    schedule: Schedule, after: int, pauses: Pauses
) -> Iterator[tuple[int, Schedule, str]]:
    spec = schedule.spec
    rule = rule_now(schedule)
    left = None if spec.max_runs is None else spec.max_runs - schedule.started
    due = rule.next_after(after)
    while due is not None:
        skip = ""
        if not schedule.job.enabled or not schedule.is_enabled_at(due):
            skip = "disabled"
        elif _is_dropped(schedule, pauses, due):
            skip = "paused"
        elif spec.blackout is not None and spec.blackout.covers(due):
            skip = "blackout"
        elif left is not None:
            skip = "" if left > 0 else "exhausted"
            left -= 1
        yield due, schedule, skip
        due = rule.next_after(due)


def _is_dropped(schedule: Schedule, pauses: Pauses, due: int) -> bool:
    pause = pauses.at(schedule, due) if pauses else None
    return pause is not None and pause.meanwhile is Meanwhile.DROP


def _both(one: Upcoming, other: Upcoming) -> Upcoming:
    """Return one due time that two schedules name: it starts one execution."""
    names = (*one.schedules, *other.schedules)
    if one.skip and not other.skip:
        return other._replace(schedules=names)
    return one._replace(schedules=names)
