"""Schedules that are due when other jobs' executions end.

Decided in the step, and so in the commit, that ends the execution, with the same rules as
any due time: switched off, paused, overlapping, exhausted. Its record has the instant of
the decision as due time. The execution's id is a hash of the schedule and of the execution
that caused it, so the same end cannot cause it twice.

An end that nobody knows (`lost`) counts as a failure; if a late result says that it
succeeded after all, that is the success it is, and no second failure or finish.

Jobs must not cause each other in a circle: what would close one is refused when it is
applied, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import ExecutionFinished
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.job import JobKey, JobSpec, ScheduleSpec
from jobs_grpc.controlplane.core.state.live import Live, Schedule
from jobs_grpc.controlplane.core.state.states import FAILURES, State
from jobs_grpc.schedule import EventRule, JoinRule, causes_of, circle_text
from jobs_grpc.schedule.circle import WAY_OUT

from .joins import arrive


class DecidesEvents(Protocol):
    """Who decides what an end causes; see `decisions.deciding`."""

    def decide_event(
        self, draft: Draft, schedule: Schedule, cause: Execution
    ) -> None: ...


class Listeners:
    """The event schedules of a term, by the job whose events they wait for."""

    def __init__(self) -> None:
        self._of_job: dict[JobKey, dict[str, Schedule]] = {}

    def __bool__(self) -> bool:
        return bool(self._of_job)

    def add(self, schedule: Schedule) -> None:
        for cause in causes_of(schedule.job.spec.key, schedule.spec.rule):
            self._of_job.setdefault(cause, {})[schedule.spec.id] = schedule

    def remove(self, schedule: Schedule) -> None:
        for cause in causes_of(schedule.job.spec.key, schedule.spec.rule):
            listeners = self._of_job[cause]
            del listeners[schedule.spec.id]
            if not listeners:
                del self._of_job[cause]

    def follow(self, draft: Draft, decider: DecidesEvents) -> bool:
        """Decide what the ends of this step cause; say whether there was anything."""
        first, draft.heard = draft.heard, len(draft.facts)
        caused = False
        for fact in draft.facts[first : draft.heard]:
            if type(fact) is not ExecutionFinished or not fact.execution.job_id:
                continue
            for schedule in self._hearing(draft, fact):
                decider.decide_event(draft, schedule, fact.execution)
                caused = True
        return caused

    def _hearing(self, draft: Draft, fact: ExecutionFinished) -> Iterator[Schedule]:
        listeners = self._of_job.get(fact.execution.spec.key)
        for schedule in tuple(listeners.values()) if listeners else ():
            rule = schedule.spec.rule
            if isinstance(rule, JoinRule):
                is_due = fact.state is State.SUCCEEDED and arrive(
                    draft, schedule, fact.execution
                )
            else:
                assert isinstance(rule, EventRule)
                is_due = _is_event(rule.event, fact)
            if is_due:
                yield schedule


def _is_event(event: str, fact: ExecutionFinished) -> bool:
    if event == "job.succeeded":
        return fact.state is State.SUCCEEDED
    if fact.was_lost:
        # Its end was told when it was lost.
        return False
    return event == "job.finished" or fact.state in FAILURES


def check_circles(live: Live, changed: Mapping[JobKey, Iterable[ScheduleSpec]]) -> None:
    """Refuse changes with which a job would cause itself, directly or through others.

    `changed` are the schedules that jobs are about to have; others have those they have.
    """

    def causes(key: JobKey) -> Iterator[JobKey]:
        schedules = changed.get(key)
        if schedules is None:
            job = live.jobs.get(key)
            schedules = (one.spec for one in job.schedules.values()) if job else ()
        for spec in schedules:
            yield from causes_of(key, spec.rule)

    for start in changed:
        seen: set[JobKey] = set()
        # Each with the way from it to the start.
        open_: list[tuple[JobKey, tuple[JobKey, ...]]]
        open_ = [(cause, (start,)) for cause in causes(start)]
        while open_:
            key, way = open_.pop()
            if key == start:
                raise InvalidError(
                    circle_text((key, *way)), hint=WAY_OUT, field="schedule"
                )
            if key not in seen:
                seen.add(key)
                open_.extend((cause, (key, *way)) for cause in causes(key))


def check_apply(live: Live, specs: Iterable[JobSpec]) -> None:
    """Refuse documents that would close a circle."""
    changed = {}
    for spec in specs:
        job = live.jobs.get(spec.key)
        own = [
            one.spec
            for one in (job.schedules.values() if job else ())
            if not one.is_of_document
        ]
        schedules = (*spec.schedules, *own)
        if job is not None or any(causes_of(spec.key, one.rule) for one in schedules):
            changed[spec.key] = schedules
    if any(causes_of(key, one.rule) for key, all_ in changed.items() for one in all_):
        check_circles(live, changed)


def check_put(live: Live, key: JobKey, spec: ScheduleSpec) -> None:
    """Refuse a single schedule that would close a circle."""
    if causes_of(key, spec.rule):
        job = live.jobs[key]
        others = [one.spec for one in job.schedules.values() if one.spec.id != spec.id]
        check_circles(live, {key: (*others, spec)})
