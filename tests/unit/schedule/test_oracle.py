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


def random_term(source: random.Random, index: int) -> str:
    low, high = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)][index]
    first, second = source.randint(low, high), source.randint(low, high)
    if index == 1 and source.random() < 0.5:
        first = source.randint(0, 4)  # where the changes are
    step = source.choice([2, 3, 5, 7])
    number = {3: "JAN MAR MAY OCT NOV DEC", 4: "SUN MON WED FRI SAT"}.get(index)
    name = source.choice(number.split()) if number else str(first)
    return source.choice(
        [
            str(first),
            str(first),
            name,
            f"{min(first, second)}-{max(first, second)}",
            f"{first}-{second}",
            f"{first}-{second}/{step}",
            f"{first}/{step}",
            f"*/{step}",
        ]
    )


def random_column(source: random.Random, index: int) -> str:
    if source.random() < (0.2, 0.35, 0.6, 0.75, 0.6)[index]:
        return source.choice(["*", "*", "*", "?"]) if index in (2, 4) else "*"
    if index == 2 and source.random() < 0.15:
        return source.choice(["L", "L,15", "1,L"])
    if index == 4 and source.random() < 0.25:
        return source.choice(["0L", "5L", "1#1", "SUN#2", "3#5,FRIL", "1-3,6#4"])
    terms = 1 if source.random() < 0.7 else source.randint(2, 3)
    return ",".join(random_term(source, index) for _ in range(terms))


def random_expression(source: random.Random) -> str:
    columns = [random_column(source, index) for index in range(5)]
    if source.random() < 0.15:
        columns.insert(0, source.choice(["0", "30", "*/20", "5,50", "10-12", "*"]))
    return " ".join(columns)


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
