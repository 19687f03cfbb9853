"""Due times that passed unattended, and which of them still start something.

A due time less than a minute old is merely late and is decided as usual. Older ones mean
an outage: the control plane was down or frozen, or its clock jumped forward. Everything
that came due in it is decided at once, by the job's catch-up rule, and has its record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jobs_grpc.controlplane.core.state.job import CatchUp
from jobs_grpc.schedule import Rule

# Cron's own grain: a start within the minute is on time for it.
OUTAGE: Final = 60_000_000
# More skipped due times in a row than this are recorded as one range.
COLLAPSE_ABOVE: Final = 100
# No more than this are looked at one by one, however long the window: an hour of every
# second fits. Where there are more, the latest are named, at least as many as any job
# may make up for.
_NAMED: Final = 4_000
_ENOUGH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Unattended:
    """The due times between a cursor and now.

    Those inside the catch-up window are named, the latest few thousand at most. Those
    before start nothing, so only the first few are enumerated (a rule of one second names
    31 million instants a year): `before` has all of them or one more than would each have
    a record. `edge` is where the named ones begin.
    """

    before: tuple[int, ...]
    edge: int
    within: tuple[int, ...]
    is_outage: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """Due times that will not start, as one record.

    For one alone `until` is None; `due_times` is None where they were not counted.
    """

    first: int
    until: int | None
    due_times: int | None
    # They were to be made up for, but for their number.
    is_beyond_limit: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an outage leaves: due times to start, in order, and records of the rest."""

    start: tuple[int, ...]
    missed: tuple[Missed, ...]


def unattended(
    rule: Rule, cursor: int, window: int, now: int, grace: int = 0
) -> Unattended:
    """Return what came due in (cursor, now].

    `grace` is how much later than its due time a start may be on purpose.
    """
    first = rule.next_after(cursor)
    if first is None or first > now:
        return Unattended((), cursor, (), is_outage=False)
    edge, within = _latest(rule, max(cursor, now - window - grace), now)
    before = tuple(rule.between(cursor, edge, COLLAPSE_ABOVE + 1))
    return Unattended(before, edge, within, is_outage=now - first >= OUTAGE + grace)


def _latest(rule: Rule, edge: int, now: int) -> tuple[int, tuple[int, ...]]:
    """Return the due times of (edge, now], or of a later beginning if they are many."""
    named = tuple(rule.between(edge, now, _NAMED + 1))
    if len(named) <= _NAMED:
        return edge, named
    # Halve towards a beginning that leaves enough of them, and not too many.
    too_early, too_late = edge, now
    while True:
        edge = (too_early + too_late) // 2
        named = tuple(rule.between(edge, now, _NAMED + 1))
        if len(named) > _NAMED:
            too_early = edge
        elif len(named) < _ENOUGH:
            too_late = edge
        else:
            return edge, named


def plan(found: Unattended, *, mode: CatchUp, limit: int) -> Plan:
    """Decide on an outage.

    `latest` starts the last due time, `all` the last `limit` in order, `none` nothing.
    """
    wanted = {CatchUp.NONE: 0, CatchUp.LATEST: 1, CatchUp.ALL: limit}[mode]
    cut = max(0, len(found.within) - wanted)
    return Plan(
        start=found.within[cut:],
        missed=tuple(_records(found, found.within[:cut], mode is CatchUp.ALL)),
    )


def _records(
    found: Unattended, skipped: Sequence[int], beyond: bool
) -> Iterator[Missed]:
    if len(found.before) > COLLAPSE_ABOVE:
        yield Missed(found.before[0], found.edge, None)
    else:
        yield from (Missed(due, None, 1) for due in found.before)
    if len(skipped) > COLLAPSE_ABOVE:
        yield Missed(skipped[0], skipped[-1], len(skipped), beyond)
    else:
        yield from (Missed(due, None, 1, beyond) for due in skipped)
