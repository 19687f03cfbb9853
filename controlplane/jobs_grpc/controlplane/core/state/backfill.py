"""One backfill: the due times of a range in the past, worked off a few at a time.

Due times are named lazily, some hundred ahead at most, so a backfill costs the same
memory whatever its range. `cursor` is the last due time that was dealt with; it moves in
the commit that creates the execution, so the next term goes on exactly there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import Final

from jobs_grpc.controlplane.core.rows.schedules import BackfillRow
from jobs_grpc.schedule import Rule

from .execution import Execution
from .job import JobKey, JobSpec, ScheduleSpec

MOST_DUE_TIMES: Final = 100_000
"""A backfill of more is refused: split the range."""
MOST_PARALLEL: Final = 100
LOWEST_PRIORITY: Final = 5
TRIGGER: Final = "backfill"

# So many due times are named ahead.
_AHEAD: Final = 256
_FIRST_WIDTH: Final = 3_600_000_000
# A rule that names this many due times in most of the parts of a range is dense in it.
_PARTS: Final = 8
_SAMPLE: Final = 24
_MOST_PARTS: Final = 6


class BackfillState(StrEnum):
    """`cancelling` until the last of its executions has ended."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


OVER: Final = frozenset({BackfillState.CANCELLED, BackfillState.COMPLETED})


@dataclass(slots=True, eq=False, kw_only=True)
class Backfill:
    """A live backfill. The range [start, end) is half open; instants are microseconds."""

    seq: int
    id: str
    key: JobKey
    job_id: int
    # The revision whose rules count, whatever becomes of the job's schedules meanwhile.
    revision: int
    schedules: tuple[ScheduleSpec, ...]
    # What the schedules are read from again: see `leader.backfills`.
    schedules_json: str
    start: int
    end: int
    newest_first: bool
    parallel: int
    priority: int
    total: int
    requested_by: str
    created_at: int
    updated_at: int
    state: BackfillState = BackfillState.RUNNING
    cursor: int | None = None
    started: int = 0
    # Due times that had been started before, by their schedule or another backfill.
    left_out: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    reason: str = ""
    finished_at: int | None = None
    active: dict[int, Execution] = field(default_factory=dict)
    ahead: deque[int] = field(default_factory=deque)
    # The job's spec with the backfill's own priority, and what it was made from.
    spec: tuple[JobSpec, JobSpec] | None = None

    def next_due(self) -> int | None:
        """Return the next due time to deal with; `None` if there is none left."""
        if not self.ahead:
            self.ahead.extend(self._look_ahead())
        return self.ahead[0] if self.ahead else None

    def pass_by(self, due: int) -> None:
        """Note that a due time is dealt with."""
        self.cursor = due
        self.ahead.popleft()

    def naming(self, due: int) -> tuple[ScheduleSpec, ...]:
        """Return the schedules that name a due time."""
        return tuple(
            one for one in self.schedules if one.rule.next_after(due - 1) == due
        )

    def _look_ahead(self) -> Sequence[int]:
        rules = [one.rule for one in self.schedules]
        if not self.newest_first:
            after = self.start - 1 if self.cursor is None else self.cursor
            found = due_times(rules, after + 1, self.end, _AHEAD)
            return tuple(islice((due for due, _ in found), _AHEAD))
        before = self.end if self.cursor is None else self.cursor
        return tuple(reversed(last_before(rules, self.start, before)))

    def row(self) -> BackfillRow:
        namespace, workspace, name = self.key
        return BackfillRow(
            self.seq,
            self.id,
            namespace,
            workspace,
            name,
            self.job_id,
            self.revision,
            self.schedules_json,
            self.start,
            self.end,
            int(self.newest_first),
            self.parallel,
            self.priority,
            self.total,
            self.requested_by,
            self.created_at,
            self.updated_at,
            self.state.value,
            self.cursor,
            self.started,
            self.left_out,
            self.succeeded,
            self.failed,
            self.cancelled,
            self.reason,
            self.finished_at,
        )


def due_times(
    rules: Sequence[Rule], start: int, end: int, limit: int
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the due times of [start, end) with the indices of the rules that name them.

    Of each rule at most `limit` are looked at.
    """
    named = merge(
        *(_indexed(rule, index, start, end, limit) for index, rule in enumerate(rules))
    )
    for due, group in groupby(named, key=itemgetter(0)):
        yield due, tuple(index for _, index in group)


def _indexed(
    rule: Rule, index: int, start: int, end: int, limit: int
) -> Iterator[tuple[int, int]]:
    for due in rule.between(start - 1, end - 1, limit):
        yield due, index


def last_before(rules: Sequence[Rule], start: int, end: int) -> Sequence[int]:
    """Return some of the last due times of [start, end), in order; none if there is none.

    Rules can only be asked forwards, so the range is searched from its end in steps that
    grow while they find nothing and shrink while they find too much.
    """
    width = _FIRST_WIDTH
    while end > start:
        edge = max(start, end - width)
        found = [due for due, _ in due_times(rules, edge, end, _AHEAD + 1)]
        if len(found) > _AHEAD and width > 1:
            width //= 4
        elif found:
            return found
        else:
            end = edge
            width *= 4
    return ()


def count(
    rules: Sequence[Rule], started: Sequence[AbstractSet[int]], start: int, end: int
) -> tuple[int, int]:
    """Return how many due times a range has, and how many of them were started before.

    `started` has those of each rule. It stops one above what a backfill may have.
    """
    total = left_out = 0
    for due, indices in due_times(rules, start, end, MOST_DUE_TIMES + 1):
        total += 1
        left_out += any(due in started[index] for index in indices)
        if total > MOST_DUE_TIMES:
            break
    return total, left_out


def too_many(rules: Sequence[Rule], start: int, end: int) -> int | None:
    """Return about how many due times a range has, if a glance shows far too many.

    A range of millions cannot be counted while somebody waits. So it is sampled in a few
    places; only where a rule is dense in most of them, that is evidence enough.
    """
    for rule in rules:
        width = (end - start) // _PARTS
        dense, guess = 0, 0.0
        for part in range(_PARTS if width > 0 else 0):
            begin = start + part * width
            found = tuple(rule.between(begin - 1, begin + width - 1, _SAMPLE))
            if len(found) == _SAMPLE:
                dense += 1
                guess += width * (_SAMPLE - 1) / (found[-1] - found[0])
        if dense >= _MOST_PARTS and guess > 10 * MOST_DUE_TIMES:
            return int(guess)
    return None


def backfill_of(row: BackfillRow, schedules: tuple[ScheduleSpec, ...]) -> Backfill:
    """Return the live backfill that a row tells of."""
    values: Mapping[str, object] = row._asdict()
    kept = {
        name: value
        for name, value in values.items()
        if name not in {"namespace", "workspace", "job", "state", "newest_first"}
    }
    return Backfill(
        key=(row.namespace, row.workspace, row.job),
        schedules=schedules,
        state=BackfillState(row.state),
        newest_first=bool(row.newest_first),
        **kept,  # type: ignore[arg-type]
    )
