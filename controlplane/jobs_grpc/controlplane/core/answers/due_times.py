"""What became of an instant, or what will: one answer for any time somebody names.

Asked in two steps, because the core reads no store: `meant_times.ask` finds what is meant,
the caller looks up what is recorded of it, and `answer` says it in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobs_grpc.controlplane.core.decisions.pausing import describe
from jobs_grpc.controlplane.core.rows.changes import DecisionRow, ExecutionRow, PauseRow
from jobs_grpc.controlplane.core.schedules.alarms import last_due, rule_now
from jobs_grpc.controlplane.core.schedules.bounds import refusal
from jobs_grpc.controlplane.core.schedules.meant_times import Meant
from jobs_grpc.controlplane.core.state.job import Overlap
from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, Pause, Pauses, pause_of
from jobs_grpc.schedule import AfterEndRule, Rule
from jobs_grpc.schedule.zone import Change

from .skipping import because, bound
from .telling import clock, fate, length, nearest_words, told

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_LATE: Final = 60 * _SECOND
# How far back a due time before the one asked for is looked for: a leap day and more.
_FARTHEST: Final = 12 * 366 * _DAY


class DueTimeKind(StrEnum):
    """What an answer says, the most telling first."""

    STARTED = "started"
    SKIPPED = "skipped"
    # It has come; it is decided when a pause ends, or at any moment now.
    UNDECIDED = "undecided"
    COMING = "coming"
    # Clocks leap over it; it is due right after, or not at all.
    IN_GAP = "in_gap"
    # Today's rule names it, and nothing is recorded of it.
    UNRECORDED = "unrecorded"
    NEVER_DUE = "never_due"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the store has of one due time."""

    decision: DecisionRow
    execution: ExecutionRow | None = None
    holder: ExecutionRow | None = None
    pause: PauseRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; instants are absent where they do not exist."""

    kind: DueTimeKind
    sentence: str
    schedule: Schedule | None = None
    at: int | None = None
    recorded: Recorded | None = None
    pause: PauseRow | None = None
    before: int | None = None
    after: int | None = None


Record = Mapping[tuple[str, int], Recorded]


def answer(
    job: Job, meant: Sequence[Meant], record: Record, pauses: Pauses, now: int
) -> Answer:
    """Return the most telling answer of all schedules."""
    name = f'"{job.spec.name}"'
    if not meant:
        return Answer(
            kind=DueTimeKind.NEVER_DUE,
            sentence=f"{name} has no schedule, so it is never due.",
        )
    found = [_Teller(job, one, record, pauses, now).tell() for one in meant]
    best = min(found, key=_rank)
    if best.kind is DueTimeKind.NEVER_DUE and len(found) > 1:
        best = _nearest(name, best, found, now)
    return best


def previous(rule: Rule, at: int) -> int | None:
    """Return the last due time before an instant; None if there was none for long."""
    width = _DAY
    while width <= _FARTHEST:
        found = last_due(rule, at - width, at - 1)
        if found is not None:
            return found
        width *= 4
    return None


class _Teller:
    """One schedule's side of the story."""

    def __init__(
        self, job: Job, meant: Meant, record: Record, pauses: Pauses, now: int
    ) -> None:
        self._job = job
        self._meant = meant
        self._schedule = meant.schedule
        self._rule = rule_now(meant.schedule)
        self._record = record
        self._pauses = pauses
        self._now = now
        label = meant.schedule.spec.name or meant.schedule.spec.rule.canonical
        self._name = f'"{job.spec.name}"'
        self._by = f'by its schedule "{label}"'

    def tell(self) -> Answer:
        gap = self._meant.gap
        if gap is not None:
            return self._in_gap(gap)
        found = [self._of_instant(at) for at in self._meant.instants]
        return min(found, key=_rank)

    def _in_gap(self, gap: Change) -> Answer:
        zone = self._schedule.spec.rule.timezone
        clocks = (
            f"that time does not exist in {zone}: clocks go from"
            f" {clock(gap.at + gap.before)} to {clock(gap.at + gap.after)}"
        )
        right_after = gap.at * _SECOND
        if not self._meant.is_moved:
            nearest = self._neighbors(right_after)
            return Answer(
                kind=DueTimeKind.IN_GAP,
                sentence=f"{self._name}: {clocks}, and nothing is due in its place;"
                f" {self._words(*nearest)}.",
                schedule=self._schedule,
                before=nearest[0],
                after=nearest[1],
            )
        inner = self._of_instant(right_after)
        return Answer(
            kind=DueTimeKind.IN_GAP,
            sentence=f"{self._name}: {clocks}, and it is due right after instead;"
            f" {inner.sentence}",
            schedule=self._schedule,
            at=right_after,
            recorded=inner.recorded,
            pause=inner.pause,
        )

    def _of_instant(self, at: int) -> Answer:
        recorded = self._record.get((self._schedule.spec.id, at))
        is_due = self._rule.next_after(at - 1) == at
        if recorded is not None and (is_due or recorded.decision.due_at == at):
            return self._decided(at, recorded)
        if not is_due:
            return self._never_due(at)
        if at > self._now:
            return self._coming(at)
        if at > self._schedule.cursor:
            return self._undecided(at)
        return self._made(
            DueTimeKind.UNRECORDED,
            at,
            f"{self._name} would have been due at {self._told(at)} {self._by}, but"
            f" {self._unrecorded(at)}.",
        )

    def _unrecorded(self, at: int) -> str:
        """Return why nothing is recorded of a due time of today's rule, as a clause."""
        what, said = "job", self._schedule.object
        made, changed = self._job.created_at, self._job.updated_at
        if said is not None:
            what, made, changed = "schedule", said.created_at, said.updated_at
        if at <= made:
            return f"the {what} was not there yet: it was made at {self._told(made)}"
        if at <= changed:
            return (
                f"there is no record of it: the {what} was changed at"
                f" {self._told(changed)}, and may have had other due times before"
            )
        return "there is no record of it any more: the server removes old records"

    def _decided(self, at: int, recorded: Recorded) -> Answer:
        decision = recorded.decision
        was_due = f"{self._name} was due at {self._told(at)} {self._by}"
        late = ""
        if decision.decided_at - at >= _LATE and decision.until is None:
            late = f", {length(decision.decided_at - at)} late"
        if decision.outcome == "started":
            return self._made(
                DueTimeKind.STARTED,
                at,
                f"{was_due} and started execution {decision.execution_id[:8]}{late},"
                f" which {fate(recorded.execution)}{self._waited(recorded)}.",
                recorded,
            )
        many = ""
        if decision.until is not None:
            count = f"{decision.due_times} due times" if decision.due_times else "all"
            first, last = self._told(decision.due_at), self._told(decision.until)
            many = f" (recorded as one: {count} from {first} to {last})"
        return self._made(
            DueTimeKind.SKIPPED,
            at,
            f"{was_due} and was skipped, {self._why(at, recorded)}{many}.",
            recorded,
        )

    def _waited(self, recorded: Recorded) -> str:
        holder = recorded.decision.holder[:8]
        if not holder:
            return ""
        if self._job.spec.overlap is Overlap.REPLACE:
            return f"; it replaced execution {holder}"
        return f"; it had to wait for execution {holder} to end"

    def _why(self, at: int, recorded: Recorded) -> str:
        """Return the reason as a clause."""
        decision = recorded.decision
        if decision.reason == "paused" and recorded.pause is not None:
            return f"because {self._paused(recorded.pause)}"
        if decision.reason in {"blackout", "exhausted"}:
            return f"because {bound(self._schedule.spec, decision.reason, at)}"
        return because(self._job.spec, decision, recorded.holder, self._told)

    def _coming(self, at: int) -> Answer:
        will = f"{self._name} will be due at {self._told(at)} {self._by}"
        will += f", in {length(at - self._now)}"
        pause = self._pause_at(at)
        if not (self._job.enabled and self._schedule.is_enabled_at(at)):
            will += "; it will be skipped, because it is disabled"
        elif pause is not None:
            will += f"; {self._fate_in(pause)}, because {self._paused(pause.row())}"
        elif reason := refusal(self._schedule, at):
            why = bound(self._schedule.spec, reason, at)
            will += f"; it will be skipped, because {why}"
        found = pause.row() if pause is not None else None
        return self._made(DueTimeKind.COMING, at, f"{will}.", pause=found)

    def _undecided(self, at: int) -> Answer:
        was_due = f"{self._name} was due at {self._told(at)} {self._by}"
        pause = self._pauses.over(self._schedule) if self._pauses else None
        if pause is None:
            sentence = f"{was_due}; it is decided at any moment now."
            return self._made(DueTimeKind.UNDECIDED, at, sentence)
        row = pause.row()
        return self._made(
            DueTimeKind.UNDECIDED,
            at,
            f"{was_due} and is not decided yet: {self._paused(row)};"
            f" {self._fate_in(pause)}.",
            pause=row,
        )

    def _pause_at(self, at: int) -> Pause | None:
        pause = self._pauses.over(self._schedule) if self._pauses else None
        return pause if pause is not None and pause.covers(at) else None

    def _fate_in(self, pause: Pause) -> str:
        match pause.meanwhile:
            case Meanwhile.DROP:
                return "it will be skipped"
            case Meanwhile.LATEST:
                return "when the pause ends, the latest due time is started"
            case Meanwhile.ALL:
                return "when the pause ends, every due time is started in its turn"

    def _paused(self, row: PauseRow) -> str:
        """Return who paused what, why, and until when."""
        what = describe(pause_of(row).scope)
        note = f" ({row.note})" if row.note else ""
        if row.ended_at is not None:
            end = f"until {self._told(row.ended_at)}"
        elif row.until is not None:
            end = f"until {self._told(row.until)}"
        else:
            end = "until somebody resumes it"
        is_was = "is" if row.ended_at is None else "was"
        since = self._told(row.since)
        return f"{what} {is_was} paused by {row.who}{note} since {since} {end}"

    def _never_due(self, at: int) -> Answer:
        before, after = self._neighbors(at)
        is_was = "is not" if at > self._now else "was never"
        return Answer(
            kind=DueTimeKind.NEVER_DUE,
            sentence=f"{self._name} {is_was} due at {self._told(at)} {self._by};"
            f" {self._words(before, after)}.",
            schedule=self._schedule,
            at=at,
            before=before,
            after=after,
        )

    def _neighbors(self, at: int) -> tuple[int | None, int | None]:
        """Return the due times around an instant that is none, or ends a gap."""
        if isinstance(self._rule, AfterEndRule):
            return None, None
        return previous(self._rule, at), self._rule.next_after(at - 1)

    def _words(self, before: int | None, after: int | None) -> str:
        return nearest_words(before, after, self._told)

    def _told(self, at: int) -> str:
        return told(at, self._schedule.spec.rule.timezone)

    def _made(
        self,
        kind: DueTimeKind,
        at: int,
        sentence: str,
        recorded: Recorded | None = None,
        *,
        pause: PauseRow | None = None,
    ) -> Answer:
        if recorded is not None:
            pause = recorded.pause
        return Answer(
            kind=kind,
            sentence=sentence,
            schedule=self._schedule,
            at=at,
            recorded=recorded,
            pause=pause,
        )


def _rank(found: Answer) -> tuple[int, bool]:
    order = list(DueTimeKind)
    recorded = found.recorded
    # That another schedule did it tells least.
    is_other = recorded is not None and recorded.decision.reason == "duplicate"
    return order.index(found.kind), is_other


def _nearest(name: str, best: Answer, found: Sequence[Answer], now: int) -> Answer:
    """Return the answer of a job of several schedules none of which names the instant."""
    before = max((one.before for one in found if one.before is not None), default=None)
    after = min((one.after for one in found if one.after is not None), default=None)
    assert best.at is not None
    assert best.schedule is not None
    zone = best.schedule.spec.rule.timezone

    def tell(at: int) -> str:
        return told(at, zone)

    is_was = "is not" if best.at > now else "was never"
    return Answer(
        kind=DueTimeKind.NEVER_DUE,
        sentence=f"{name} {is_was} due at {tell(best.at)} by any of its {len(found)}"
        f" schedules; {nearest_words(before, after, tell)}.",
        at=best.at,
        before=before,
        after=after,
    )
