"""Wrong and outlandish schedules: an answer in a bounded number of steps.

Steps are calls of functions, counted and not timed: a busy machine changes nothing.
Ten thousand of them are a few milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import pytest

from jobs_grpc.schedule import (
    RuleError,
    format_instant,
    next_times,
    parse_instant,
    parse_schedule,
    read_calendars,
)

MOST_STEPS = 40_000
NOON = parse_instant("2026-11-22T12:00:00Z")
CALENDARS = read_calendars(
    {"nearly-always": ["sun", "mon", "tue", "wed", "thu", "fri"]}
)


def steps_of(work: Callable[[], object]) -> int:
    """Return how many functions, ours and built in, the work calls."""
    count = 0

    def seen(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    # The libraries are loaded first.
    parse_schedule("* * * * *")
    known = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(known)
    return count


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("0 0 31 2 *", "never due"),
        ("0 0 30 FEB *", "never due"),
        ("0 0 31 4,6,9,11 *", "never due"),
        ("*/0 * * * *", "the step of minute must be 1-60"),
        ("60 * * * *", "minute must be 0-59"),
        ("0 L * * *", "hour must be 0-23"),
        ("L * * * *", "minute must be 0-59"),
        ("0 0 * L *", "month must be 1-12 or JAN-DEC"),
        ("0 0 * * L", "the last weekday of a month is written 5L"),
        ("0 0 5L * *", "day-of-month must be 1-31"),
        ("every 500ms", 'every must be 1s to 36500d, got "500ms"'),
        ({"every": 0}, "every must be 1s to"),
        ({"every": "10m", "from": "end", "end": "2027-01-01"}, "end does not go"),
        ({"cron": "0 0 * * *", "timezone": "Europe/Rgia"}, 'mean "Europe/Riga"?'),
        ({"cron": "0 0 * * *", "timezone": "Amsterdam"}, 'mean "Europe/Amsterdam"?'),
        ({"cron": "0 0 * * *", "timezone": "EST5"}, 'unknown time zone "EST5"'),
        (
            {"every": "1h", "start": "2027-01-02", "end": "2027-01-01"},
            "end must be after start",
        ),
        ({"cron": "0 0 * * *", "every": "1h"}, "got cron and every: write two"),
        ({"cron": "0 * * * *", "exclude": "0 * * * *"}, "exclude leaves no due time"),
        ({"cron": "0 9 * * *", "exclude": "* * * * *"}, "exclude leaves no due time"),
        (
            {"cron": "* * * * * *", "exclude": "* * * * * *"},
            "exclude leaves no due time",
        ),
        (
            {"cron": "0 9 * * *", "exclude": ["* * * * 0-3", "0 9 * * 4-6"]},
            "exclude leaves no due time",
        ),
        (
            {"cron": "0 9 * * *", "exclude": "1900-01-01/9999-12-31"},
            "exclude leaves no due time",
        ),
        ({"every": "1h", "exclude": "0 * * * *"}, "exclude leaves no due time"),
        ({"every": "1s", "exclude": "* * * * *"}, "exclude leaves no due time"),
        (
            {"weekly": "mon", "exclude": {"calendar": "nearly-always"}},
            "exclude leaves no due time",
        ),
        (
            {"every": "1h", "exclude": ["mon,tue", "* * * * *"]},
            "a day of a calendar is",
        ),
    ],
)
def test_it_is_refused_soon_and_says_why(spec: Any, why: str) -> None:
    def refused() -> None:
        with pytest.raises(RuleError) as caught:
            parse_schedule(spec, calendars=CALENDARS)
        assert why in str(caught.value)

    refused()  # what it loads once is not counted
    assert steps_of(refused) < MOST_STEPS


@pytest.mark.parametrize(
    ("spec", "first"),
    [
        # Ten million periods, and then some.
        ({"every": "1s", "anchor": "0001-01-01T00:00:00Z"}, "2026-11-22T12:00:01Z"),
        ({"every": "7s", "anchor": "2026-11-22T11:59:58Z"}, "2026-11-22T12:00:05Z"),
        ({"every": "1s", "anchor": "9999-12-31T23:59:59Z"}, "2026-11-22T12:00:01Z"),
        ({"cron": "0 0 29 2 *"}, "2028-02-29T00:00:00Z"),
        ({"cron": "0 0 29 2 1"}, "2027-02-01T00:00:00Z"),
        ({"monthly": "fifth-sunday"}, "2026-11-29T00:00:00Z"),
        ({"every": "1s", "exclude": "* * * 1-11 *"}, "2026-12-01T00:00:00Z"),
        ({"every": "5m", "exclude": "*/5 * * 1-11 *"}, "2026-12-01T00:00:00Z"),
        ({"cron": "* * * * * *", "exclude": "* * * 1-11 *"}, "2026-12-01T00:00:00Z"),
        (
            {"cron": "0 * * * *", "exclude": "2026-01-01/2126-12-31"},
            "2127-01-01T00:00:00Z",
        ),
        ({"every": "1h", "exclude": "2026-01-01/2126-12-31"}, "2127-01-01T00:00:00Z"),
        (
            {"daily": True, "exclude": {"calendar": "nearly-always"}},
            "2026-11-28T00:00:00Z",
        ),
        ({"every": "1m", "start": "2926-01-01"}, "2926-01-01T00:00:00Z"),
    ],
)
def test_it_is_answered_by_arithmetic(spec: Mapping[str, Any], first: str) -> None:
    found: list[int] = []

    def work() -> None:
        rule = parse_schedule(spec, calendars=CALENDARS).rule
        found.extend(next_times([rule], NOON, 1))

    assert steps_of(work) < MOST_STEPS
    assert [format_instant(one) for one in found] == [first]
