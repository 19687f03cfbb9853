"""Random expressions around the clock changes of many zones, judged by brute force.

`JOBS_ORACLE_EXPRESSIONS` sets how many expressions, `JOBS_ORACLE_SEED` which ones.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs_grpc.schedule import RuleError, cron_rule, format_instant
from oracle.comparing import Tally, compare_all
from oracle.expressions import random_column, random_expression
from support.cron_oracle import day_matcher, due_times

EXPRESSIONS = int(os.environ.get("JOBS_ORACLE_EXPRESSIONS", "400"))
SEED = int(os.environ.get("JOBS_ORACLE_SEED", "20260308"))
PER_WINDOW = 20
MOST = 1_000
ZONES = [
    "Europe/Riga",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Antarctica/Troll",  # two hours
    "Africa/Casablanca",  # around Ramadan
    "Europe/Dublin",  # winter is the exception
    "America/Sao_Paulo",  # at midnight
    "Asia/Beirut",  # at midnight
    "Pacific/Apia",  # without 2011-12-30
    "Antarctica/Casey",  # exactly three hours
    "Asia/Kathmandu",  # +05:45, and once a quarter of an hour
    "UTC",
]
HOUR = 3_600
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
FIRST = int(datetime(1985, 6, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2036, 1, 1, tzinfo=UTC).timestamp())


def changes_of(zone: str) -> list[int]:
    """Return the seconds at which the offset of a zone changes; one if it never does."""
    info = ZoneInfo(zone)

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, info).utcoffset()

    days = [day for day in range(FIRST, LAST, DAY) if offset(day) != offset(day + DAY)]
    return [first_change(day, day + DAY, offset) for day in days] or [LAST]


def first_change(low: int, high: int, offset: Callable[[int], object]) -> int:
    before = offset(low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if offset(middle) != before else (middle, high)
    return high


def windows(source: random.Random) -> list[tuple[str, int]]:
    """Return zones with the instant of a change: every zone by turns."""
    changes = {zone: changes_of(zone) for zone in ZONES}
    count = -(-EXPRESSIONS // PER_WINDOW)
    zones = [ZONES[index % len(ZONES)] for index in range(count)]
    return [(zone, source.choice(changes[zone])) for zone in zones]


def compare(source: random.Random, zone: str, change: int) -> str:
    """Return what differs for one random expression; empty if nothing does."""
    text = random_expression(source)
    columns = text.split()
    dst = source.choice(["debian"] * 6 + ["skip", "first", "last", "both"])
    around = 4 * DAY if len(columns) == 5 else 4 * HOUR
    start, end = change - around, change + around
    if source.random() < 0.25:  # as a control plane that starts amid the change
        start = change + source.randint(-2 * HOUR, 2 * HOUR)
    try:
        rule = cron_rule(text, timezone=zone, dst=dst)
    except RuleError as error:
        # The generator writes nothing else that is wrong.
        return "" if "never due" in str(error) else f"{text}: {error}"
    expected = due_times(text, zone, start, end, dst)
    if len(expected) > MOST:  # the ticks near the change are as good as those of days
        ahead = 2 * HOUR if len(columns) == 5 else MOST // 2
        start = max(start, change + source.choice([0, HOUR]) - ahead)
        expected = [due for due in expected if start < due][:MOST]
    got = rule.between(start * 1_000_000, end * 1_000_000, limit=MOST)
    found = [due // 1_000_000 for due in got]
    if found == expected:
        return ""
    odd = sorted(set(found) ^ set(expected))[:5]
    sides = [
        f"{'extra' if due in found else 'missing'} {format_instant(due * 1_000_000)}"
        for due in odd
    ]
    return f"{text} | {zone} {dst}: {', '.join(sides)}"


def test_random_expressions_agree_with_brute_force() -> None:
    source = random.Random(SEED)
    differences = [
        difference
        for zone, change in windows(source)
        for _ in range(PER_WINDOW)
        if (difference := compare(source, zone, change))
    ]
    assert differences == []


@pytest.mark.parametrize("zone", ZONES)
def test_common_schedules_agree_around_a_year_of_changes(zone: str) -> None:
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    year = [day for day in changes_of(zone) if start <= day < start + 365 * DAY]
    for change in year:
        for text in ("30 2 * * *", "0 */2 * * *", "*/30 0-3 * * *", "15 1-3 * * 0"):
            expected = due_times(text, zone, change - DAY, change + 2 * DAY)
            rule = cron_rule(text, timezone=zone)
            got = rule.between(
                (change - DAY) * 1_000_000, (change + 2 * DAY) * 1_000_000
            )
            assert [due // 1_000_000 for due in got] == expected, text


def test_the_calendar_agrees_with_brute_force_over_five_years() -> None:
    source = random.Random(SEED)
    first = datetime(2023, 1, 1, tzinfo=UTC).toordinal() - EPOCH
    days = range(first, first + 1_830)  # with the 29th of February of 2024
    for _ in range(EXPRESSIONS // 10):
        columns = [random_column(source, index) for index in (2, 3, 4)]
        matches = day_matcher(*columns)
        expected = [day for day in days if matches(day)]
        try:
            rule = cron_rule(f"0 0 {' '.join(columns)}")
        except RuleError:
            assert expected == [], columns
            continue
        start, end = (days[0] * DAY - 1) * 1_000_000, days[-1] * DAY * 1_000_000
        found = [due // (DAY * 1_000_000) for due in rule.between(start, end)]
        assert found == expected, columns


def test_three_opinions_agree_around_thirty_years_of_changes() -> None:
    """A part of `make oracle`: every zone, and each of its changes for some."""
    source = random.Random(SEED)
    tally = Tally()
    for _ in range(EXPRESSIONS // 16):
        compare_all(random_expression(source), source, tally, share=0.1)
    assert tally.unexplained == []
    assert tally.pairs > EXPRESSIONS
    assert tally.with_cronsim > tally.pairs // 4
