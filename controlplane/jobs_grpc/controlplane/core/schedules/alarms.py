"""Schedules that are looked at by themselves, not with the others of their rule.

Two kinds. A start with jitter: its due time has come, its start is put off. And a period
that counts from the end of the job's last execution: its due time follows from the job
and not from the rule. Neither is state of its own: after a restart both are computed
again from the cursor and the end of the last execution.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.controlplane.core.state.states import State
from jobs_grpc.schedule import AfterEndRule, Rule, at_rule, jitter_delay


class Alarms:
    """A heap of schedules by the instant at which they are looked at."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Schedule]] = []
        self._pushed = 0
        # Job id to schedules that count from the end of its executions.
        self._after_end: dict[int, dict[str, Schedule]] = {}

    def watch(self, schedule: Schedule) -> None:
        """Look at a schedule whenever its job's executions have ended."""
        of_job = self._after_end.setdefault(schedule.job.job_id, {})
        of_job[schedule.spec.id] = schedule
        self.arm(schedule)

    def forget(self, schedule: Schedule) -> None:
        """Look at it no longer."""
        schedule.alarm = None
        of_job = self._after_end.get(schedule.job.job_id)
        if of_job is not None:
            of_job.pop(schedule.spec.id, None)
            if not of_job:
                del self._after_end[schedule.job.job_id]

    def set(self, schedule: Schedule, at: int) -> None:
        """Look at a schedule at an instant, instead of any it was set to."""
        if schedule.alarm != at:
            schedule.alarm = at
            self._pushed += 1
            heapq.heappush(self._heap, (at, self._pushed, schedule))

    def arm(self, schedule: Schedule) -> None:
        """Set a schedule that counts from an end to its next due time, if it has one."""
        due = rule_now(schedule).next_after(schedule.cursor)
        if due is None:
            schedule.alarm = None
        else:
            self.set(schedule, due)

    def ended(self, jobs: Iterable[Job]) -> None:
        """Executions of these jobs have ended."""
        if self._after_end:
            for job in jobs:
                for schedule in self._after_end.get(job.job_id, {}).values():
                    self.arm(schedule)

    def next_due(self) -> int | None:
        """Return the earliest instant of all, or `None`."""
        heap = self._heap
        while heap and heap[0][2].alarm != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: int) -> Iterator[Schedule]:
        """Yield each schedule whose instant has come; it has none after."""
        while (first := self.next_due()) is not None and first <= now:
            schedule = heapq.heappop(self._heap)[2]
            schedule.alarm = None
            yield schedule


def rule_now(schedule: Schedule) -> Rule:
    """Return the rule as it stands: a period from the end has at most one due time.

    None while an execution of the job is active. Before the first one ends, and after a
    due time that started nothing, it counts from the cursor.
    """
    rule = schedule.spec.rule
    if not isinstance(rule, AfterEndRule):
        return rule
    job = schedule.job
    if any(one.state is not State.SCHEDULED for one in job.active.values()):
        return rule
    return at_rule(max(job.last_run_at or 0, schedule.cursor) + rule.period)


def start_of(schedule: Schedule, due: int) -> int:
    """Return when the execution of a due time starts: with jitter, somewhat later."""
    spec = schedule.spec
    if not spec.jitter:
        return due
    return due + jitter_delay(spec.id, due, spec.jitter, spec.rule)


def held_back(schedule: Schedule, now: int) -> int | None:
    """Return the due time that has come and whose start has not, if there is one.

    There is at most one: a start is never put off as far as the next due time.
    """
    spec = schedule.spec
    after = max(schedule.cursor, now - spec.jitter)
    due = last_due(spec.rule, after, now)
    return due if due is not None and start_of(schedule, due) > now else None


def last_due(rule: Rule, after: int, now: int) -> int | None:
    """Return the last due time of (after, now]."""
    due = rule.next_after(after)
    if due is None or due > now:
        return None
    # An instant that has a due time after it, and one that has none any more.
    early, late = after, now
    while late - early > 1:
        middle = (early + late) // 2
        found = rule.next_after(middle)
        if found is None or found > now:
            late = middle
        else:
            early, due = found - 1, found
            following = rule.next_after(found)
            if following is None or following > now:
                break
    return due
