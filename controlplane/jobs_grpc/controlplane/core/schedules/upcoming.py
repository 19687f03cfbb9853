"""What will come due: the schedules of a job as one, as far as can be known now."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from jobs_grpc.controlplane.core.state.live import Job, Schedule

from .alarms import rule_now, start_of


class Upcoming(NamedTuple):
    """One due time to come, whichever schedules name it."""

    due_at: int
    # With jitter it starts later than it is due.
    starts_at: int
    # By their names, or by their rules where they have none.
    schedules: tuple[str, ...]
    # Why it will start nothing; empty if it will start something, or may.
    skip: str


def upcoming(job: Job, after: int, count: int) -> list[Upcoming]:
    """Return the next due times later than an instant, in order.

    Fewer where the schedules run out. Overlap, pauses and outages are not foreseen.
    """
    found: list[Upcoming] = []
    for due, schedule, skip in heapq.merge(
        *(_of_schedule(one, after) for one in job.schedules.values()),
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


def _of_schedule(schedule: Schedule, after: int) -> Iterator[tuple[int, Schedule, str]]:
    spec = schedule.spec
    rule = rule_now(schedule)
    left = None if spec.max_runs is None else spec.max_runs - schedule.started
    due = rule.next_after(after)
    while due is not None:
        skip = ""
        if not schedule.job.enabled or not schedule.is_enabled_at(due):
            skip = "disabled"
        elif spec.blackout is not None and spec.blackout.covers(due):
            skip = "blackout"
        elif left is not None:
            skip = "" if left > 0 else "exhausted"
            left -= 1
        yield due, schedule, skip
        due = rule.next_after(due)


def _both(one: Upcoming, other: Upcoming) -> Upcoming:
    """Return one due time that two schedules name: it starts one execution."""
    names = (*one.schedules, *other.schedules)
    if one.skip and not other.skip:
        return other._replace(schedules=names)
    return one._replace(schedules=names)
