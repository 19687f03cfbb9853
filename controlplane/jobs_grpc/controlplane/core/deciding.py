"""What becomes of each due time.

A due time is decided once: the decision, the execution it starts and the cursor that
passes it are rows of one commit. A leader that dies before that commit has decided
nothing; one that dies after it has left a pending execution for the next.
"""

from __future__ import annotations

from jobs_grpc.schedule import Rule, format_instant

from .alarms import held_back, rule_now, start_of
from .bounds import count_start, refusal
from .catchup import Unattended, plan, unattended
from .draft import Draft
from .effects import DueTimeSkipped
from .executions import Executions, Origin
from .job import Overlap, execution_id
from .live import Live, Schedule
from .overlap import Verdict, in_the_way, judge
from .rows import DecisionRow
from .timeline import Timeline

_Memo = dict[tuple[Rule, int, int, int, int], Unattended]


class Decider:
    """Decides what is due in a term."""

    def __init__(self, live: Live, timeline: Timeline, executions: Executions) -> None:
        self._live = live
        self._timeline = timeline
        self._executions = executions

    def advance(self, draft: Draft) -> None:
        """Decide every due time up to now."""
        known: _Memo = {}
        for group in self._timeline.due(draft.now):
            for schedule in group.schedules.values():
                self._settle(draft, schedule, known)
        alarms = self._timeline.alarms
        for schedule in alarms.due(draft.now):
            self._settle(draft, schedule, known)
            if not schedule.spec.jitter:
                alarms.arm(schedule)

    def recover(self, draft: Draft) -> None:
        """Decide what came due while no leader lived, before the timeline runs."""
        known: _Memo = {}
        for job in tuple(self._live.jobs.values()):
            for schedule in job.schedules.values():
                self._settle(draft, schedule, known)

    def _settle(self, draft: Draft, schedule: Schedule, known: _Memo) -> None:
        """Decide everything between the schedule's cursor and now."""
        spec = schedule.job.spec
        now, jitter = draft.now, schedule.spec.jitter
        if jitter and (held := held_back(schedule, now)) is not None:
            self._timeline.alarms.set(schedule, start_of(schedule, held))
            now = held - 1
        # Schedules of one rule mostly share their cursor too.
        memo = (
            rule_now(schedule),
            schedule.cursor,
            spec.catch_up_window,
            now,
            jitter,
        )
        found = known.get(memo)
        if found is None:
            found = unattended(*memo)
            known[memo] = found
        if found.is_outage:
            self._catch_up(draft, schedule, found, now)
        else:
            for due in found.within:
                self._decide(draft, schedule, due)

    def _decide(self, draft: Draft, schedule: Schedule, due: int) -> None:
        job = schedule.job
        if not job.enabled or not schedule.is_enabled_at(due):
            self._skip(draft, schedule, due, "disabled")
        elif reason := refusal(schedule, due):
            self._skip(draft, schedule, due, reason)
        elif due == job.last_due_started or (job.job_id, due) in draft.due_started:
            self._skip(draft, schedule, due, "duplicate")
        elif (verdict := judge(job, draft.now)).may_start:
            self._start(draft, schedule, due, verdict)
        else:
            assert verdict.holder is not None
            self._skip(draft, schedule, due, "overlap", holder=verdict.holder.id)
        self._move_cursor(draft, schedule, due)

    def _start(
        self, draft: Draft, schedule: Schedule, due: int, verdict: Verdict
    ) -> None:
        job = schedule.job
        if verdict.hold is not None and job.spec.overlap is Overlap.REPLACE:
            verdict = self._make_room(draft, schedule, due)
        identity = execution_id(schedule.spec.id, due)
        params = job.spec.params
        if schedule.spec.params:
            params = {**params, **schedule.spec.params}
        label = schedule.spec.name or schedule.spec.rule.canonical
        self._executions.create(
            draft,
            job.spec,
            job,
            params,
            Origin(
                id=identity,
                trigger="schedule",
                requested_by=f"schedule:{label}",
                scheduled_for=due,
                schedule_id=schedule.spec.id,
                hold=verdict.hold,
            ),
        )
        count_start(draft, schedule)
        job.last_due_started = due
        if len(job.schedules) > 1:
            draft.due_started.add((job.job_id, due))
        draft.decisions.append(
            DecisionRow(
                schedule.spec.id,
                due,
                *job.spec.key,
                draft.now,
                "started",
                "",
                identity,
                verdict.holder.id if verdict.holder is not None else "",
            )
        )

    def _make_room(self, draft: Draft, schedule: Schedule, due: int) -> Verdict:
        """End what stands in the way of a due time; return how its execution begins."""
        job = schedule.job
        replaced = None
        for replaced in in_the_way(job):
            reason = f"replaced by the run due at {format_instant(due)}"
            self._executions.cancel(draft, replaced, reason)
        # What only waited has ended at once.
        verdict = judge(job, draft.now)
        return verdict if verdict.holder else Verdict(True, replaced)

    def _skip(
        self,
        draft: Draft,
        schedule: Schedule,
        due: int,
        reason: str,
        *,
        holder: str = "",
        until: int | None = None,
        due_times: int | None = 1,
    ) -> None:
        key = schedule.job.spec.key
        draft.decisions.append(
            DecisionRow(
                schedule.spec.id,
                due,
                *key,
                draft.now,
                "skipped",
                reason,
                "",
                holder,
                until,
                due_times,
            )
        )
        draft.facts.append(DueTimeSkipped(key, due, reason, holder))

    def _catch_up(
        self, draft: Draft, schedule: Schedule, found: Unattended, now: int
    ) -> None:
        job = schedule.job
        plan_ = plan(found, mode=job.spec.catch_up, limit=job.spec.catch_up_max)
        for missed in plan_.missed:
            is_enabled = job.enabled and schedule.is_enabled_at(missed.first)
            reason = "missed_window" if is_enabled else "disabled"
            self._skip(
                draft,
                schedule,
                missed.first,
                reason,
                until=missed.until,
                due_times=missed.due_times,
            )
        for due in plan_.start:
            self._decide(draft, schedule, due)
        self._move_cursor(draft, schedule, now)

    def _move_cursor(self, draft: Draft, schedule: Schedule, to: int) -> None:
        schedule.cursor = to
        draft.cursors[schedule.spec.id] = schedule
