"""What bounds any kind of rule: exclusions, a window, blackouts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from jobs_grpc.schedule.calendars import (
    MOST_DAYS,
    Calendar,
    day_text,
    named,
    read_calendar,
    read_range,
    united,
)
from jobs_grpc.schedule.clock import ClockRule
from jobs_grpc.schedule.dialect import read_expression
from jobs_grpc.schedule.duration import SECOND
from jobs_grpc.schedule.error import RuleError, quoted
from jobs_grpc.schedule.exclusion import Exclusion, RemainingEvery, RemainingLabels
from jobs_grpc.schedule.instant import from_datetime, parse_instant
from jobs_grpc.schedule.interval import EveryRule
from jobs_grpc.schedule.labels import DAY, Clock, Days, Labels, clock_of, days_of
from jobs_grpc.schedule.rule import Rule, shared
from jobs_grpc.schedule.window import WindowRule
from jobs_grpc.schedule.zone import Zone, find_zone

_MOST: Final = 100
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MINUTE: Final = tuple(range(60))
# Where a search begins that asks whether a rule is due at all: 2000-01-01.
_REFERENCE: Final = 946_684_800 * SECOND


@dataclass(frozen=True, slots=True)
class Blackout:
    """Days on which due times are decided against, by the names of their calendars."""

    timezone: str
    calendars: tuple[tuple[str, Calendar], ...]

    def covers(self, instant: int) -> str:
        """Return the name of a calendar that has the day of an instant, or nothing."""
        second = instant // SECOND
        day = (second + find_zone(self.timezone).offset(second)) // DAY
        for name, calendar in self.calendars:
            if calendar.contains(day):
                return name
        return ""

    def free_from(self, instant: int) -> int | None:
        """Return where the first day at or after an instant begins that is none of them.

        None if four years have none.
        """
        zone, second = find_zone(self.timezone), instant // SECOND
        day = (second + zone.offset(second)) // DAY
        free = united([calendar for _, calendar in self.calendars]).free_from(day)
        if free is None or free == day:
            return None if free is None else instant
        label = free * DAY
        return (label - zone.offset(label - zone.offset(label))) * SECOND


def read_blackout(
    value: object, timezone: str, known: Mapping[str, Calendar]
) -> Blackout | None:
    """Return the blackout that a name of a calendar, or a list of names, describes."""
    names = list(value) if isinstance(value, list | tuple) else [value]
    if len(names) > _MOST:
        raise RuleError(f"at most {_MOST} calendars", field="blackout")
    try:
        found = [(str(name), named(name, known)) for name in names]
    except RuleError as error:
        raise error.under("blackout") from None
    return Blackout(timezone, tuple(found)) if found else None


def read_edge(value: object, zone: Zone, field: str) -> int:
    """Return the instant of `start` or `end`: RFC 3339, or a day, which is its midnight."""
    try:
        if isinstance(value, datetime):
            return from_datetime(value)
        if isinstance(value, date):
            value = value.isoformat()
        if isinstance(value, str) and _DAY.fullmatch(value.strip()):
            found = read_range(value.strip())
            assert found is not None  # it has the shape
            label = found[0] * DAY
            offset = zone.offset(label - zone.offset(label))
            return (label - offset) * SECOND
        return parse_instant(value)  # type: ignore[arg-type]  # refuses what is no text
    except RuleError as error:
        raise error.under(field) from None


def excluding(
    rule: Rule,
    value: object,
    *,
    timezone: str,
    seed: str,
    known: Mapping[str, Calendar],
) -> Rule:
    """Return a rule without what `exclude` names; errors are those of its key."""
    try:
        exclusion = _read_exclusion(value, seed, known)
        zone = find_zone(timezone)
        if isinstance(rule, ClockRule):
            return _excluding_labels(rule, exclusion)
        if isinstance(rule, EveryRule):
            return shared(
                ("remaining", rule, timezone, exclusion.canonical),
                lambda: RemainingEvery(
                    base=rule,
                    canonical=f"{rule.canonical} except {exclusion.canonical}",
                    timezone=timezone,
                    _exclusion=exclusion,
                    _zone=zone,
                ),
            )
    except RuleError as error:
        raise error.under("exclude") from None
    raise RuleError("exclude goes with rules that repeat", field="exclude")


def check_left(rule: Rule, *, excluded: bool) -> None:
    """Refuse a rule of which its window or its exclusions leave nothing.

    What a rule is due before the year 2000 does not count.
    """
    if rule.next_after(_REFERENCE) is not None:
        return
    base = rule.base if isinstance(rule, WindowRule) else rule
    if excluded and base.next_after(_REFERENCE) is None:
        raise RuleError(
            "exclude leaves no due time: of the days of the rule, it covers"
            f" {MOST_DAYS} in a row",
            field="exclude",
        )
    raise RuleError("no due time lies between start and end", field="end")


def _excluding_labels(rule: ClockRule, exclusion: Exclusion) -> Rule:
    labels = rule._labels
    assert isinstance(labels, Labels)  # those of a rule that has no exclusion yet
    canonical = f"{rule.canonical} except {exclusion.canonical}"
    return shared(
        ("clock", canonical, rule.timezone, rule.dst),
        lambda: replace(
            rule, canonical=canonical, _labels=RemainingLabels(labels, exclusion)
        ),
    )


def _read_exclusion(
    value: object, seed: str, known: Mapping[str, Calendar]
) -> Exclusion:
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if not 0 < len(entries) <= _MOST:
        raise RuleError(f"exclude has 1 to {_MOST} entries")
    calendars: list[Calendar] = []
    times: dict[str, tuple[Days, Clock]] = {}
    for entry in entries:
        if isinstance(entry, Mapping):
            if set(entry) != {"calendar"}:
                raise RuleError("an object in exclude is {calendar: NAME}")
            calendars.append(named(entry["calendar"], known))
            continue
        text = day_text(entry)
        if text.startswith("@") or len(text.split()) > 1:
            expression = read_expression(text, seed)
            # The whole minute: nobody who writes 5 fields means its first second.
            seconds = _MINUTE if expression.seconds == (0,) else expression.seconds
            times[expression.canonical] = (
                days_of(expression.days),
                clock_of(expression, seconds),
            )
        elif text in known:
            raise RuleError(
                f"{quoted(text)} is a calendar: write it as blackout, where each due time"
                " in it is recorded as skipped, or as {calendar: "
                f"{text}}}, where there is none"
            )
        else:
            calendars.append(read_calendar(text))
    return Exclusion(
        united(calendars), tuple(times.values()), _canonical(calendars, times)
    )


def _canonical(calendars: Sequence[Calendar], times: Mapping[str, object]) -> str:
    """Return a text that is equal for equal exclusions."""
    days = united(calendars)
    parts = sorted(times)
    return "; ".join([*parts, f"days {days.digest}"] if days else parts)
