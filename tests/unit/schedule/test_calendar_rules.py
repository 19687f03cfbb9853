"""Daily, weekly and monthly rules: the days that people mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jobs_grpc.schedule import (
    Calendar,
    RuleError,
    format_instant,
    next_times,
    parse_instant,
    parse_schedule,
    read_calendars,
)

CALENDARS = read_calendars(
    {"holidays": ["2026-12-25", "12-26", "2026-12-28/2026-12-31"], "fridays": "fri"}
)


def due(
    spec: Mapping[str, Any],
    start: str,
    count: int,
    calendars: Mapping[str, Calendar] = CALENDARS,
) -> list[str]:
    """Return the next due times, without the parts that are zero."""
    rule = parse_schedule(spec, calendars=calendars).rule
    found = next_times([rule], parse_instant(f"{start}T00:00:00Z") - 1, count)
    return [format_instant(one).removesuffix(":00Z") for one in found]


def test_daily_is_every_day_at_its_times() -> None:
    days = ["2026-11-22", "2026-11-23"]
    assert due({"daily": True}, "2026-11-22", 2) == [f"{day}T00:00" for day in days]
    assert due({"daily": "18:00"}, "2026-11-22", 2) == [f"{day}T18:00" for day in days]
    spec = {"daily": True, "time": ["22:15:30", "6:30"]}
    assert due(spec, "2026-11-22", 3) == [
        "2026-11-22T06:30",
        "2026-11-22T22:15:30Z",
        "2026-11-23T06:30",
    ]


def test_weekly_knows_names_and_numbers() -> None:
    expected = ["2026-11-23T07:00", "2026-11-27T07:00", "2026-11-30T07:00"]
    for days in (["mon", "fri"], "mon,fri", ["Friday", "Monday"], [1, 5]):
        assert due({"weekly": days, "time": "07:00"}, "2026-11-22", 3) == expected


def test_a_month_without_the_day_is_left_out_unless_said() -> None:
    assert due({"monthly": 31}, "2027-01-01", 3) == [
        "2027-01-31T00:00",
        "2027-03-31T00:00",
        "2027-05-31T00:00",
    ]
    assert due({"monthly": 31, "short_months": "last-day"}, "2027-01-01", 3) == [
        "2027-01-31T00:00",
        "2027-02-28T00:00",
        "2027-03-31T00:00",
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("last-day", ["2028-02-29", "2028-03-31", "2028-04-30"]),
        ("first-monday", ["2028-02-07", "2028-03-06", "2028-04-03"]),
        ("2028", None),
        ("second tue", ["2028-02-08", "2028-03-14", "2028-04-11"]),
        ("last-fri", ["2028-02-25", "2028-03-31", "2028-04-28"]),
        ("fifth-tuesday", ["2028-02-29", "2028-05-30", "2028-08-29"]),
        ([1, "last-sun"], ["2028-02-01", "2028-02-27", "2028-03-01"]),
        ("first-business-day", ["2028-02-01", "2028-03-01", "2028-04-03"]),
        ("last-business-day", ["2028-02-29", "2028-03-31", "2028-04-28"]),
    ],
)
def test_monthly_names_days(word: Any, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(RuleError, match="a day of the month is"):
            due({"monthly": word}, "2028-02-01", 3)
        return
    found = due({"monthly": word}, "2028-02-01", 3)
    assert found == [f"{day}T00:00" for day in expected]


def test_business_days_leave_out_weekends_and_their_calendar() -> None:
    spec = {"daily": "business-days", "time": "09:00", "calendar": "holidays"}
    assert due(spec, "2026-12-23", 4) == [
        "2026-12-23T09:00",
        "2026-12-24T09:00",
        "2027-01-01T09:00",
        "2027-01-04T09:00",
    ]
    last = {"monthly": "last-business-day", "calendar": "holidays"}
    assert due(last, "2026-12-01", 1) == ["2026-12-24T00:00"]
    assert due({"daily": "business-days", "calendar": "fridays"}, "2026-12-03", 2) == [
        "2026-12-03T00:00",
        "2026-12-07T00:00",
    ]


def test_times_follow_the_zone_and_its_clock_changes() -> None:
    spec = {"daily": "02:30", "timezone": "America/New_York"}
    assert due(spec, "2026-03-08", 2) == ["2026-03-08T07:00", "2026-03-09T06:30"]
    assert due({**spec, "dst": "skip"}, "2026-03-08", 1) == ["2026-03-09T06:30"]
    autumn = {"daily": "01:30", "timezone": "America/New_York"}
    assert due(autumn, "2026-11-01", 2) == ["2026-11-01T05:30", "2026-11-02T06:30"]


def test_equal_meanings_are_one_rule() -> None:
    one = parse_schedule({"weekly": ["fri", "mon"], "time": "7:00"}).rule
    other = parse_schedule({"weekly": "mon,fri", "time": ["07:00", "7:00:00"]}).rule
    assert one is other
    holidays = {"holidays": ["2026-12-24"]}
    spec = {"daily": "business-days", "calendar": "holidays"}
    changed = parse_schedule(spec, calendars=read_calendars(holidays)).rule
    assert parse_schedule(spec, calendars=CALENDARS).rule != changed


@pytest.mark.parametrize(
    ("spec", "error", "field"),
    [
        ({"daily": "25:00"}, "a time of day looks like", "daily"),
        ({"daily": "18:00", "time": "19:00"}, "the times are given twice", "time"),
        ({"daily": "noon"}, "daily is true, business-days or times", "daily"),
        ({"daily": True, "time": []}, "time is one or several", "time"),
        ({"daily": True, "time": 730}, "a time of day looks like", "time"),
        ({"weekly": "mnoday"}, "a weekday is sun to sat", "weekly"),
        ({"weekly": []}, "weekly names at least one day", "weekly"),
        ({"monthly": 0}, "a day of the month is 1 to 31", "monthly"),
        ({"monthly": "frist-monday"}, "a day of the month is 1 to 31", "monthly"),
        ({"monthly": 1, "short_months": "x"}, "short_months is skip", "short_months"),
        (
            {"daily": True, "short_months": "skip"},
            "short_months goes with monthly",
            "short_months",
        ),
        ({"daily": True, "calendar": "fridays"}, "calendar goes with", "calendar"),
        (
            {"daily": "business-days", "calendar": "holiday"},
            'unknown calendar "holiday": did you mean "holidays"?',
            "calendar",
        ),
        ({"cron": "0 0 * * *", "time": "18:00"}, "time goes with daily", "time"),
        ({"daily": True, "weekly": "mon"}, "a schedule has one kind", "weekly"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(
    spec: Mapping[str, Any], error: str, field: str
) -> None:
    with pytest.raises(RuleError) as caught:
        parse_schedule(spec, calendars=CALENDARS)
    assert str(caught.value).startswith(error)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"x": "2026-02-30"}, 'there is no day "2026-02-30"'),
        ({"x": "02-30"}, 'there is no day "02-30"'),
        ({"x": "2026-12-31/2026-12-01"}, "ends before it starts"),
        ({"x": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]}, "every day"),
        ({"x": "christmas"}, "a day of a calendar is"),
        ({"x": []}, "at least one day"),
        ({"weekends": "sat"}, "is built in"),
        ({"1x": "sat"}, "the name of a calendar"),
        (["sat"], "calendars must be an object"),
    ],
)
def test_a_wrong_calendar_is_refused(value: Any, error: str) -> None:
    with pytest.raises(RuleError, match=error):
        read_calendars(value)
