"""Where the three opinions differ, and which of the differences are explained.

Ours and the walk may not differ at all. cronsim may, in the classes below, which
docs/schedules.md lists; any other difference is unexplained.
"""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jobs_grpc.schedule import RuleError, cron_rule, format_instant
from jobs_grpc.schedule.rule import Rule
from support.cron_oracle import BOUNDS, column, day_matcher

from .walking import CORRECTION, MINUTE, ZONES, Walk, walks

# So many due times are compared for one expression and change.
MOST = 20
MOST_STEPS = 20_000
# Spellings that cronsim reads in another way.
READINGS = {
    r"\b(\w+)-\1/": "equal ranges with a step: cronsim reads 4-4/3 as 4/3",
    r"(^|[ ,])7/\d+(,\S*)?$": "a step from 7: cronsim reads 7/3 as Sunday alone",
    r"(^|[ ,])[1-6A-Z]+/\d+(,\S*)?$": "a step from a weekday: cronsim goes on to 7, Sunday",
}
OTHER_DST = ("skip", "first", "last", "both")


@dataclass
class Tally:
    """What was compared, and what came of it."""

    expressions: int = 0
    refused: int = 0
    pairs: int = 0
    due_times: int = 0
    with_cronsim: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.expressions += other.expressions
        self.refused += other.refused
        self.pairs += other.pairs
        self.due_times += other.due_times
        self.with_cronsim += other.with_cronsim
        self.explained.update(other.explained)
        self.unexplained += other.unexplained


class Asked:
    """One expression as the walk reads it, by its own reading of the columns."""

    def __init__(self, text: str) -> None:
        columns = text.upper().split()
        self.text = text
        stars = [word.startswith("*") for word in columns[: len(columns) - 3]]
        self.is_wild = any(stars)
        self.has_seconds = len(columns) == 6
        self.seconds = [0]
        if self.has_seconds:
            self.seconds = sorted(column(columns.pop(0), 0, (0, 59)))
        minutes, hours = (column(columns[i], i, BOUNDS[i]) for i in (0, 1))
        self.clock = frozenset(
            hour * 60 + minute for hour in hours for minute in minutes
        )
        self.is_day = day_matcher(*columns[2:])

    def due(self, walk: Walk, dst: str) -> list[int]:
        """Return the due seconds of a walk."""
        word = "wild" if dst == "debian" and self.is_wild else dst
        minutes = walk.due(self.clock, self.is_day, dst=word)
        if not self.has_seconds:
            return [minute * MINUTE for minute in minutes]
        ends = {at for at, _ in walk.gaps} if word not in ("wild", "skip") else set()
        found = set()
        for minute in minutes:
            # What is due only because a gap swallowed it is due at the gap's end.
            if minute in ends and not self._shows(walk, minute):
                found.add(minute * MINUTE)
                continue
            found.update(minute * MINUTE + second for second in self.seconds)
            if minute in ends and self._swallowed(walk, minute):
                found.add(minute * MINUTE)
        return sorted(found)

    def _shows(self, walk: Walk, at: int) -> bool:
        return any(
            when == at and self.is_day(day)
            for minute, shown in walk.once.items()
            if minute in self.clock
            for when, day in shown
        )

    def _swallowed(self, walk: Walk, at: int) -> bool:
        labels = next(labels for end, labels in walk.gaps if end == at)
        return any(minute in self.clock and self.is_day(day) for day, minute in labels)


def compare_all(
    text: str, source: random.Random, tally: Tally, *, share: float = 1
) -> None:
    """Compare one expression in all zones around (a share of) their changes."""
    tally.expressions += 1
    dst = source.choice(["debian"] * 6 + list(OTHER_DST))
    asked = Asked(text)
    for zone in ZONES:
        try:
            rule = cron_rule(text, timezone=zone, dst=dst)
        except RuleError as error:
            if "never due" not in str(error):
                tally.unexplained.append(f"{text}: {error}")
            tally.refused += 1
            return
        sim = simulation(text, rule, zone, tally) if dst == "debian" else None
        for walk in walks(zone):
            if share < 1 and source.random() >= share:
                continue
            late = source.random() < 0.2
            compare(asked, rule, None if late else sim, walk, dst, source, tally, late)


def compare(
    asked: Asked,
    rule: Rule,
    sim: Bounded | None,
    walk: Walk,
    dst: str,
    source: random.Random,
    tally: Tally,
    late: bool,
) -> None:
    """Compare the opinions on one expression around one change."""
    expected = asked.due(walk, dst)
    start, end = walk.start * MINUTE, walk.end * MINUTE
    change = (walk.start + 180) * MINUTE
    if len(expected) > MOST and walk.end - walk.start < 600:
        # Dense ones: some due times, from a minute near the change on.
        shift = 0 if sim is not None and sim.fixup_tz else abs(walk.shift) * MINUTE
        start = source.randint(change - 1_200, change + shift)
    if late:  # as a control plane that starts amid the change
        start = source.randint(start, end)
    expected = [due for due in expected if start < due <= end][:MOST]
    got = rule.between(start * 1_000_000, end * 1_000_000, limit=MOST)
    found = [due // 1_000_000 for due in got]
    tally.pairs += 1
    tally.due_times += len(expected)
    where = f"{asked.text} | {walk.zone} {dst} {format_instant(start * 1_000_000)}"
    if found != expected:
        tally.unexplained.append(f"ours: {where}: {told(found, expected)}")
    if sim is None:
        return
    tally.with_cronsim += 1
    theirs = ticks(sim, walk.zone, start, end, most=MOST)
    if theirs != expected:
        why = explanation(asked, walk, start)
        if why:
            tally.explained[why] += 1
        else:
            tally.unexplained.append(f"cronsim: {where}: {told(theirs, expected)}")


def explanation(asked: Asked, walk: Walk, start: int) -> str:
    """Return why cronsim says something else; empty if nothing explains it."""
    if asked.has_seconds and not asked.is_wild:
        return "six fields: cronsim has Debian's rule for five only"
    if abs(walk.shift) * MINUTE >= CORRECTION:
        return "changes of three hours and more: cronsim sees no correction in them"
    begins_in_gap = any(face[1] == 0 for _, labels in walk.gaps for face in labels)
    if begins_in_gap and (asked.is_wild or asked.has_seconds):
        return "a gap at midnight: cronsim begins the day at a time that is not there"
    if walk.shift % 60:
        return "shifts of half an hour: cronsim steps through the hours"
    change = (walk.start + 180) * MINUTE
    if not asked.is_wild and change <= start < change - walk.shift * MINUTE:
        return "asked amid labels that come again: cronsim names the first ones anew"
    return ""


class Stuck(Exception):  # noqa: N818 - what cronsim is
    """cronsim steps and steps, and does not arrive."""


class Bounded(CronSim):
    """cronsim, within a window: it ends beyond, and gives up where it is stuck."""

    limit: datetime
    steps_left: int

    def tick(self, seconds: int = 1) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise Stuck
        super().tick(seconds)

    def advance_day(self) -> bool:
        moved = super().advance_day()
        if self.dt > self.limit:
            raise StopIteration
        return moved


def simulation(text: str, rule: Rule, zone: str, tally: Tally) -> Bounded | None:
    """Return cronsim's reading of the text, if it reads it as we do.

    Else it is asked about our canonical form: how it reads a spelling, and what its
    clock does, are two questions. Each other reading is told once for each zone.
    """
    moment = datetime(2020, 1, 1, tzinfo=ZoneInfo(zone))
    try:
        ours = Bounded(rule.canonical.removeprefix("cron "), moment)
    except CronSimError:
        return None
    try:
        theirs = Bounded(text, moment)
    except CronSimError:
        return ours
    if values(theirs) == values(ours):
        return theirs
    why = next((why for shape, why in READINGS.items() if re.search(shape, text)), "")
    if why:
        tally.explained[why] += 1
    else:
        tally.unexplained.append(f"cronsim reads otherwise: {text} | {rule.canonical}")
    return ours


def values(sim: CronSim) -> tuple[object, ...]:
    """Return what cronsim has read; it knows Sunday by two numbers."""
    weekdays = {0 if one == 7 else one for one in sim.weekdays}
    return sim.seconds, sim.minutes, sim.hours, sim.days, sim.months, weekdays


def ticks(sim: Bounded, zone: str, start: int, end: int, most: int) -> list[int] | None:
    """Return cronsim's due seconds of (start, end]; None where it is stuck."""
    sim = copy.copy(sim)
    info = ZoneInfo(zone)
    first = datetime.fromtimestamp(start, info)
    # By a day and more: a clock that is asked without its zone may be that far off.
    limit = datetime.fromtimestamp(end + 36 * 3_600, info)
    sim.dt = first.replace(tzinfo=None) if sim.fixup_tz else first
    sim.limit = limit.replace(tzinfo=None) if sim.fixup_tz else limit
    sim.steps_left = MOST_STEPS
    found: list[int] = []
    while len(found) < most:
        try:
            due = int(next(sim).timestamp())
        except StopIteration:
            break
        except Stuck:
            return None
        if due > end:
            break
        found.append(due)
    return found


def told(found: list[int] | None, expected: list[int]) -> str:
    if found is None:
        return "does not end"
    odd = sorted(set(found) ^ set(expected))[:3]
    sides = [
        f"{'extra' if due in found else 'missing'} {format_instant(due * 1_000_000)}"
        for due in odd
    ]
    return ", ".join(sides) or f"in another order or twice: {found[:5]}"
