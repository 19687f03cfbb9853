"""What becomes of each due time.

A due time is decided once: the decision, the execution it starts and the cursor that
passes it are rows of one commit. A leader that dies before that commit has decided
nothing; one that dies after it has left a pending execution for the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from jobs_grpc.controlplane.core.executions.lifecycle import Executions
from jobs_grpc.controlplane.core.executions.overlap import (
    LIMIT,
    Verdict,
    in_the_way,
    in_turn,
    judge,
)
from jobs_grpc.controlplane.core.rows.changes import DecisionRow, ExtendedRow
from jobs_grpc.controlplane.core.schedules.alarms import held_back, rule_now, start_of
from jobs_grpc.controlplane.core.schedules.bounds import count_start, refusal
from jobs_grpc.controlplane.core.schedules.timeline import Timeline
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import DueTimeSkipped
from jobs_grpc.controlplane.core.state.execution import Execution, Origin
from jobs_grpc.controlplane.core.state.job import (
    CatchUp,
    event_execution_id,
    execution_id,
)
from jobs_grpc.controlplane.core.state.live import Live, Schedule, Streak
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, Pause, Pauses
from jobs_grpc.schedule import AfterEndRule, Rule, format_instant

from .catchup import COLLAPSE_ABOVE, Missed, Plan, Unattended, plan, unattended
from .targets import NO_TARGET, Targets

_MODES: Final[Mapping[Meanwhile, CatchUp]] = {
    Meanwhile.DROP: CatchUp.NONE,
    Meanwhile.LATEST: CatchUp.LATEST,
    Meanwhile.ALL: CatchUp.ALL,
}
# As many due times as any job may make up for after an outage.
_ALL: Final = 1_000

_Memo = dict[tuple[Rule, int, int, int, int], Unattended]


class Decider:
    """Decides what is due in a term."""

    def __init__(
        self,
        live: Live,
        timeline: Timeline,
        executions: Executions,
        pauses: Pauses,
        targets: Targets,
    ) -> None:
        self._live = live
        self._timeline = timeline
        self._executions = executions
        self._pauses = pauses
        self._targets = targets

    def advance(self, draft: Draft) -> None:
        """Decide every due time up to now."""
        known: _Memo = {}
        for group in self._timeline.due(draft.now):
            for schedule in group.schedules.values():
                self._settle(draft, schedule, known)
        alarms = self._timeline.alarms
        for schedule in alarms.due(draft.now):
            self._settle(draft, schedule, known)
            # One that a pause keeps undecided is still due; its end looks at it again.
            if not schedule.spec.jitter and not self._keeps(schedule, draft.now):
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
        if self._pauses and (pause := self._pause_of(schedule, now)) is not None:
            if pause.meanwhile is Meanwhile.DROP:
                self.leave_pause(draft, schedule, pause, now)
            # Else it is decided when the pause ends; the cursor waits.
            return
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

    def leave_pause(
        self, draft: Draft, schedule: Schedule, pause: Pause, end: int
    ) -> None:
        """Decide what is undecided up to `end`, which is past, as the pause says."""
        cursor = schedule.cursor
        if cursor >= end:
            return
        found = unattended(rule_now(schedule), cursor, end - cursor, end)
        mode = _MODES[pause.meanwhile]
        plan_ = plan(found, mode=mode, limit=_ALL)
        self._carry_out(draft, schedule, plan_, mode, "paused", pause.id)
        if found.within:
            self._move_cursor(draft, schedule, end)
        if isinstance(schedule.spec.rule, AfterEndRule):
            self._timeline.alarms.arm(schedule)

    def _pause_of(self, schedule: Schedule, now: int) -> Pause | None:
        """Return the pause that decides; a disabled schedule is disabled first of all."""
        pause = self._pauses.over(schedule)
        return pause if pause is not None and _is_enabled(schedule, now) else None

    def _keeps(self, schedule: Schedule, now: int) -> bool:
        """Say whether a pause keeps the due times of a schedule undecided."""
        pause = self._pause_of(schedule, now) if self._pauses else None
        return pause is not None and pause.meanwhile is not Meanwhile.DROP

    def drop(self, draft: Draft, schedule: Schedule) -> None:
        """Decide what a pause left undecided of a schedule that goes away."""
        pause = self._pauses.over(schedule) if self._pauses else None
        if pause is not None:
            dropping = replace(pause, meanwhile=Meanwhile.DROP)
            self.leave_pause(draft, schedule, dropping, draft.now)

    def decide_event(self, draft: Draft, schedule: Schedule, cause: Execution) -> None:
        """Decide what the end of an execution causes; the record needs an instant."""
        due = max(draft.now, schedule.cursor + 1)
        pause = self._pause_of(schedule, due) if self._pauses else None
        if pause is not None:
            self._skip(draft, schedule, due, "paused", holder=pause.id)
            self._move_cursor(draft, schedule, due)
        else:
            self._decide(draft, schedule, due, cause=cause)

    def _decide(
        self,
        draft: Draft,
        schedule: Schedule,
        due: int,
        *,
        made_up: bool = False,
        cause: Execution | None = None,
    ) -> None:
        """Decide one due time; those `made_up` for run one after another at least."""
        job = schedule.job
        if not _is_enabled(schedule, due):
            self._skip(draft, schedule, due, "disabled")
        elif reason := refusal(schedule, due):
            self._skip(draft, schedule, due, reason)
        elif cause is None and (
            due == job.last_due_started or (job.job_id, due) in draft.due_started
        ):
            self._skip(draft, schedule, due, "duplicate")
        elif job.spec.skips_without_worker and self._targets.are_missing(
            job.spec, draft.now
        ):
            self._skip(draft, schedule, due, NO_TARGET)
        elif made_up and (turn := in_turn(job, draft.now)) is not None:
            self._start(draft, schedule, due, turn)
        elif (verdict := judge(job, draft.now)).may_start:
            self._start(draft, schedule, due, verdict, cause)
        else:
            assert verdict.holder is not None
            self._skip(draft, schedule, due, verdict.reason, holder=verdict.holder.id)
        self._move_cursor(draft, schedule, due)

    def _start(
        self,
        draft: Draft,
        schedule: Schedule,
        due: int,
        verdict: Verdict,
        cause: Execution | None = None,
    ) -> None:
        job = schedule.job
        if verdict.ends_others:
            verdict = self._make_room(draft, schedule, due)
        label = schedule.spec.name or schedule.spec.rule.canonical
        trigger, requested_by = "schedule", f"schedule:{label}"
        if cause is None:
            identity = execution_id(schedule.spec.id, due)
        else:
            identity = event_execution_id(schedule.spec.id, cause.id)
            trigger, requested_by = "event", f"event:{cause.id}"
        params = job.spec.params
        if schedule.spec.params:
            params = {**params, **schedule.spec.params}
        self._executions.create(
            draft,
            job.spec,
            job,
            params,
            Origin(
                id=identity,
                trigger=trigger,
                requested_by=requested_by,
                scheduled_for=due if cause is None else draft.now,
                schedule_id=schedule.spec.id,
                hold=verdict.hold,
            ),
        )
        count_start(draft, schedule)
        schedule.streak = None
        if cause is None:
            job.last_due_started = due
        if cause is None and len(job.schedules) > 1:
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
    ) -> None:
        """Record that a due time starts nothing; long rows of them share a record."""
        streak = schedule.streak
        if streak is None or (streak.reason, streak.holder) != (reason, holder):
            streak = schedule.streak = Streak(reason, holder)
        streak.count += 1
        if streak.first is not None:
            streak.in_first += 1
            draft.extended[(schedule.spec.id, streak.first)] = ExtendedRow(
                due, streak.in_first, draft.now, schedule.spec.id, streak.first
            )
        else:
            if streak.count > COLLAPSE_ABOVE:
                streak.first, streak.in_first = due, 1
            self._record(draft, schedule, Missed(due, None, 1), reason, holder)
        draft.facts.append(DueTimeSkipped(schedule.job.spec.key, due, reason, holder))

    def _record(
        self,
        draft: Draft,
        schedule: Schedule,
        missed: Missed,
        reason: str,
        holder: str,
    ) -> None:
        draft.decisions.append(
            DecisionRow(
                schedule.spec.id,
                missed.first,
                *schedule.job.spec.key,
                draft.now,
                "skipped",
                reason,
                "",
                holder,
                missed.until,
                missed.due_times,
            )
        )

    def _catch_up(
        self, draft: Draft, schedule: Schedule, found: Unattended, now: int
    ) -> None:
        spec = schedule.job.spec
        plan_ = plan(found, mode=spec.catch_up, limit=spec.catch_up_max)
        self._carry_out(draft, schedule, plan_, spec.catch_up, "missed_window")
        self._move_cursor(draft, schedule, now)

    def _carry_out(
        self,
        draft: Draft,
        schedule: Schedule,
        plan_: Plan,
        mode: CatchUp,
        reason: str,
        holder: str = "",
    ) -> None:
        """Record what a plan leaves out, and decide what it starts."""
        for missed in plan_.missed:
            why, who = (LIMIT, "") if missed.is_beyond_limit else (reason, holder)
            if not _is_enabled(schedule, missed.first):
                why, who = "disabled", ""
            elif bound := refusal(schedule, missed.first):
                why, who = bound, ""
            if missed.until is None:
                self._skip(draft, schedule, missed.first, why, holder=who)
                continue
            schedule.streak = None
            self._record(draft, schedule, missed, why, who)
            key = schedule.job.spec.key
            draft.facts.append(DueTimeSkipped(key, missed.first, why, who))
        for due in plan_.start:
            self._decide(draft, schedule, due, made_up=mode is CatchUp.ALL)

    def _move_cursor(self, draft: Draft, schedule: Schedule, to: int) -> None:
        schedule.cursor = to
        draft.cursors[schedule.spec.id] = schedule


def _is_enabled(schedule: Schedule, due: int) -> bool:
    return schedule.job.enabled and schedule.is_enabled_at(due)
