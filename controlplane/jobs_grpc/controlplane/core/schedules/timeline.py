"""The schedule table by time: which rules come due next.

Schedules that share a rule (equal expression, zone and DST policy) share one place here
and one computation, so a million schedules with five thousand rules cost five thousand
entries. A tick costs what is due, never what exists.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs_grpc.controlplane.core.state.live import Schedule
from jobs_grpc.schedule import AfterEndRule, EventRule, JoinRule, Rule

from .alarms import Alarms
from .events import Listeners


@dataclass(slots=True, eq=False)
class RuleGroup:
    """The schedules of one rule, and when it comes due next."""

    rule: Rule
    next_due: int | None
    # When that was computed: a clock that is earlier now was set back.
    as_of: int
    schedules: dict[str, Schedule] = field(default_factory=dict)


class Timeline:
    """A heap of rules by their next due time."""

    def __init__(self) -> None:
        self._groups: dict[Rule, RuleGroup] = {}
        self._heap: list[tuple[int, int, RuleGroup]] = []
        self._pushed = 0
        self.alarms = Alarms()
        self.listeners = Listeners()

    def add(self, schedule: Schedule, now: int) -> None:
        """Watch a schedule for due times later than `now`."""
        rule = schedule.spec.rule
        group = self._groups.get(rule)
        if group is None:
            group = RuleGroup(rule, rule.next_after(now), now)
            self._groups[rule] = group
            self._push(group)
        elif now < group.as_of:
            self._move(group, now)
        group.schedules[schedule.spec.id] = schedule
        if isinstance(rule, AfterEndRule):
            self.alarms.watch(schedule)
        elif isinstance(rule, EventRule | JoinRule):
            self.listeners.add(schedule)

    def remove(self, schedule: Schedule) -> None:
        """Watch it no longer."""
        rule = schedule.spec.rule
        group = self._groups[rule]
        del group.schedules[schedule.spec.id]
        self.alarms.forget(schedule)
        if isinstance(rule, EventRule | JoinRule):
            self.listeners.remove(schedule)
        if not group.schedules:
            # Its heap entry is dropped when it comes up.
            del self._groups[rule]
            group.next_due = None

    def next_due(self) -> int | None:
        """Return the earliest due time of all, or `None`."""
        heap = self._heap
        while heap and heap[0][2].next_due != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: int) -> Iterator[RuleGroup]:
        """Yield each rule that is due by `now`, and move it past `now`.

        What exactly is due follows from each schedule's cursor. The caller must not add
        or remove schedules while it iterates.
        """
        while (first := self.next_due()) is not None and first <= now:
            group = heapq.heappop(self._heap)[2]
            self._move(group, now)
            yield group

    def __len__(self) -> int:
        return sum(len(group.schedules) for group in self._groups.values())

    def _move(self, group: RuleGroup, now: int) -> None:
        group.next_due, group.as_of = group.rule.next_after(now), now
        self._push(group)

    def _push(self, group: RuleGroup) -> None:
        if group.next_due is not None:
            self._pushed += 1
            heapq.heappush(self._heap, (group.next_due, self._pushed, group))
