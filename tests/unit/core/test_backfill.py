"""Which due times a range has, and in what order they come."""

from __future__ import annotations

from time import perf_counter

import pytest

from jobs_grpc.controlplane.core.state.backfill import (
    MOST_DUE_TIMES,
    count,
    due_times,
    last_before,
    too_many,
)
from jobs_grpc.schedule import parse_instant, parse_schedule
from support.jobs import DAY, HOUR, MINUTE, NOON, SECOND


def rules(*texts: str, zone: str = "UTC") -> list[object]:
    return [parse_schedule(one, default_timezone=zone).rule for one in texts]


def counted(*texts: str, zone: str = "UTC", start: int, end: int) -> int:
    made = rules(*texts, zone=zone)
    return count(made, [set() for _ in made], start, end)[0]  # type: ignore[arg-type]


def test_the_range_is_half_open() -> None:
    start, end = NOON, NOON + 2 * HOUR
    (rule,) = rules("@hourly")
    found = [due for due, _ in due_times([rule], start, end, 10)]  # type: ignore[list-item]
    assert found == [NOON, NOON + HOUR]


@pytest.mark.parametrize(
    ("first", "last", "zone", "hours"),
    [
        ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "UTC", 744),
        # The days of New York's changes have 23 and 25 hours.
        ("2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z", "America/New_York", 743),
        ("2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z", "America/New_York", 721),
    ],
)
def test_a_month_of_hours_has_as_many_as_it_had(
    first: str, last: str, zone: str, hours: int
) -> None:
    start, end = parse_instant(first), parse_instant(last)
    assert counted("0 * * * *", zone=zone, start=start, end=end) == hours


def test_an_instant_that_two_rules_name_counts_once_and_tells_both() -> None:
    made = rules("0 * * * *", "*/30 * * * *")
    found = list(due_times(made, NOON, NOON + HOUR, 10))  # type: ignore[arg-type]
    assert found == [(NOON, (0, 1)), (NOON + 30 * MINUTE, (1,))]
    half = [set(), {NOON}]
    assert count(made, half, NOON, NOON + HOUR) == (2, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["* * * * * *", "@hourly", "0 0 1 1 *", "every 7m"])
def test_the_range_can_be_walked_from_its_end(text: str) -> None:
    (rule,) = rules(text)
    span = {"* * * * * *": HOUR, "0 0 1 1 *": 5 * 365 * DAY}.get(text, 30 * DAY)
    start, end = NOON - span, NOON + 17 * SECOND
    backwards: list[int] = []
    before = end
    while found := last_before([rule], start, before):  # type: ignore[list-item]
        backwards = [*found, *backwards]
        before = found[0]
    assert backwards == list(rule.between(start - 1, end - 1, MOST_DUE_TIMES))  # type: ignore[attr-defined]


def test_an_empty_range_has_no_end_to_walk_from() -> None:
    (rule,) = rules("0 0 1 1 *")
    assert last_before([rule], NOON, NOON + 60 * DAY) == ()  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("text", "days", "many"),
    [
        ("* * * * * *", 116, True),
        ("every 1s", 116, True),
        ("*/5 * * * * *", 600, True),
        ("* * * * *", 365 * 20, True),
        ("@hourly", 365, False),
        ("* * * * *", 60, False),
        # Dense for one day of the year only.
        ("* * * * * *", 1, False),
        ("* * 0 1 1 *", 365, False),
    ],
)
def test_millions_are_seen_at_a_glance(text: str, days: int, many: bool) -> None:
    made = rules(text)
    too_many(made, NOON - DAY, NOON)  # type: ignore[arg-type]
    began = perf_counter()
    guess = too_many(made, NOON - days * DAY, NOON)  # type: ignore[arg-type]
    took = perf_counter() - began
    assert (guess is not None) == many
    # Goal: 10 ms; the machine may be busy.
    assert took < 1
