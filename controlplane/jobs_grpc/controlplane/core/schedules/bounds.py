"""What bounds a schedule beside its rule: blackouts, and a number of runs.

A due time on a day of a blackout, and one after the last run, are decided like any
other: skipped, with the reason.
"""

from __future__ import annotations

from jobs_grpc.controlplane.core.rows.changes import CountRow
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.job import ScheduleSpec
from jobs_grpc.controlplane.core.state.live import Schedule
from jobs_grpc.schedule import AfterEndRule, AtRule, EventRule, JoinRule


def refusal(schedule: Schedule, due: int) -> str:
    """Return why a due time may start nothing; empty if it may."""
    spec = schedule.spec
    if spec.blackout is not None and spec.blackout.covers(due):
        return "blackout"
    if spec.max_runs is not None and schedule.started >= spec.max_runs:
        return "exhausted"
    return ""


def count_start(draft: Draft, schedule: Schedule) -> None:
    """Count an execution of a schedule that may start only so many."""
    if schedule.spec.max_runs is not None:
        schedule.started += 1
        note_count(draft, schedule)


def note_count(draft: Draft, schedule: Schedule) -> None:
    """Have the count written; only schedules with a limit have one."""
    if schedule.spec.max_runs is not None:
        id_ = schedule.spec.id
        draft.counts[id_] = CountRow(id_, schedule.started)


def check_future(
    spec: ScheduleSpec, known: Schedule | None, now: int, job: str
) -> None:
    """Refuse a schedule that has no due time left.

    One that is known already may have come to its end.
    """
    is_known = known is not None and known.spec.rule == spec.rule
    if is_known or isinstance(spec.rule, AfterEndRule | EventRule | JoinRule):
        return
    if spec.rule.next_after(now) is None:
        why = (
            "lies in the past"
            if isinstance(spec.rule, AtRule)
            else "has no due time after now"
        )
        raise InvalidError(
            f'job {job}: the schedule "{spec.name or spec.rule.canonical}" {why}',
            hint="give it a later time, or remove it",
            field="schedule",
        )
