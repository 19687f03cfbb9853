"""Windows, exclusions, blackouts and jitter of any kind of rule."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs_grpc.schedule import (
    RuleError,
    cron_rule,
    format_instant,
    jitter_delay,
    next_times,
    parse_instant,
    parse_schedule,
    read_calendars,
    rule_identity,
)

SECOND = 1_000_000
HOUR = 3_600 * SECOND
CALENDARS = read_calendars({"freeze": ["2026-12-20/2027-01-06"], "sundays": "sun"})


def due(spec: Mapping[str, Any], start: str, count: int) -> list[str]:
    rule = parse_schedule(spec, calendars=CALENDARS).rule
    found = next_times([rule], parse_instant(start) - 1, count)
    return [format_instant(one).removesuffix(":00Z") for one in found]


def test_a_window_has_its_start_and_not_its_end() -> None:
    spec = {
        "every": "1h",
        "start": "2027-01-01T10:00:00Z",
        "end": "2027-01-01T12:00:00Z",
    }
    assert due(spec, "2026-01-01T00:00:00Z", 9) == [
        "2027-01-01T10:00",
        "2027-01-01T11:00",
    ]


def test_a_day_as_start_or_end_is_its_midnight_in_the_zone() -> None:
    spec = {
        "cron": "0 0 * * *",
        "timezone": "Asia/Tokyo",
        "start": "2027-01-02",
        "end": "2027-01-03",
    }
    assert due(spec, "2026-01-01T00:00:00Z", 9) == ["2027-01-01T15:00"]


def test_exclusions_take_days_ranges_and_the_minutes_of_a_cron_expression() -> None:
    spec = {
        "cron": "0 */6 * * *",
        "exclude": ["* 6-12 * * *", "2026-11-23", "2026-11-25/2026-11-26"],
    }
    assert due(spec, "2026-11-22T00:00:00Z", 6) == [
        "2026-11-22T00:00",
        "2026-11-22T18:00",
        "2026-11-24T00:00",
        "2026-11-24T18:00",
        "2026-11-27T00:00",
        "2026-11-27T18:00",
    ]


def test_an_exclusion_of_five_fields_takes_the_whole_minute() -> None:
    spec = {"cron": "*/30 * * * * *", "exclude": "0-58 * * * *"}
    assert due(spec, "2026-11-22T00:00:00Z", 3) == [
        "2026-11-22T00:59",
        "2026-11-22T00:59:30Z",
        "2026-11-22T01:59",
    ]
    of_seconds = {"cron": "*/30 * * * * *", "exclude": "30 * * * * *"}
    assert due(of_seconds, "2026-11-22T00:00:00Z", 2) == [
        "2026-11-22T00:00",
        "2026-11-22T00:01",
    ]


def test_a_calendar_can_be_excluded_by_name() -> None:
    spec = {"cron": "0 9 * * *", "exclude": [{"calendar": "freeze"}, "sun"]}
    assert due(spec, "2026-12-18T00:00:00Z", 4) == [
        "2026-12-18T09:00",
        "2026-12-19T09:00",
        "2027-01-07T09:00",
        "2027-01-08T09:00",
    ]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("period", ["1h", "7m", "90m", "5m", "25h", "40s"])
def test_intervals_without_excluded_times_agree_with_a_walk(
    zone: str, period: str
) -> None:
    """Every due time is looked at on the clock of the zone: no shortcut at all."""
    source = random.Random(f"{zone} {period}")
    for _ in range(12):
        hours = f"{source.randint(0, 11)}-{source.randint(12, 23)}"
        minutes = source.choice(["*", "*/5", "0-58", "0,30"])
        days = source.choice(["* * *", "* * 1-5", "1-7 * *", "* 3,11 *"])
        day = source.choice(["2026-03-08", "2026-10-04", "2026-04-05"])
        exclude = [f"{minutes} {hours} {days}", day]
        spec = {"every": period, "timezone": zone, "exclude": exclude}
        start = parse_instant(
            source.choice(["2026-03-06T00:00:00Z", "2026-10-30T12:34:56Z"])
        )
        rule = parse_schedule(spec).rule
        found = list(rule.between(start, start + 72 * HOUR))
        base = parse_schedule({"every": period}).rule
        expected = [
            one
            for one in base.between(start, start + 72 * HOUR)
            if not is_excluded(one, exclude, zone)
        ]
        assert found == expected, spec


def is_excluded(due: int, exclude: list[str], zone: str) -> bool:
    moment = datetime.fromtimestamp(due // SECOND, ZoneInfo(zone))
    if moment.date().isoformat() == exclude[1]:
        return True
    # The expression is asked in UTC about the face of the clock.
    face = moment.replace(tzinfo=UTC, second=0)
    label = int(face.timestamp()) * SECOND
    return cron_rule(exclude[0]).next_after(label - 1) == label


@pytest.mark.parametrize("zone", ["UTC", "Europe/Riga"])
def test_cron_without_excluded_times_agrees_with_a_walk(zone: str) -> None:
    source = random.Random(zone)
    for _ in range(40):
        base = f"{source.choice(['*/7', '0', '15,45'])} * * * *"
        exclude = f"* {source.randint(0, 11)}-{source.randint(12, 23)} * * 1-6/2"
        spec = {"cron": base, "timezone": zone, "exclude": [exclude, "2026-12-05"]}
        start = parse_instant("2026-12-01T00:00:00Z")
        found = list(parse_schedule(spec).rule.between(start, start + 240 * HOUR))
        rule = cron_rule(base, timezone=zone)
        expected = [
            one
            for one in rule.between(start, start + 240 * HOUR)
            if not is_excluded(one, [exclude, "2026-12-05"], zone)
        ]
        assert found == expected, spec


def test_an_exclusion_looks_at_the_label_and_not_at_the_end_of_the_gap() -> None:
    spec = {"cron": "30 2 * * *", "timezone": "America/New_York"}
    assert due(spec, "2026-03-08T05:00:00Z", 1) == ["2026-03-08T07:00"]
    of_label = {**spec, "exclude": "30 2 8 3 *"}
    assert due(of_label, "2026-03-08T05:00:00Z", 1) == ["2026-03-09T06:30"]
    of_end = {**spec, "exclude": "0 3 8 3 *"}
    assert due(of_end, "2026-03-08T05:00:00Z", 1) == ["2026-03-08T07:00"]


def test_a_blackout_keeps_the_due_times_and_says_which_are_its_own() -> None:
    parsed = parse_schedule(
        {"cron": "0 0 * * *", "timezone": "Asia/Tokyo", "blackout": ["freeze"]},
        calendars=CALENDARS,
    )
    assert parsed.blackout is not None
    assert parsed.blackout.covers(parse_instant("2026-12-19T15:00:00Z")) == "freeze"
    assert parsed.blackout.covers(parse_instant("2026-12-19T14:59:00Z")) == ""
    first = parse_instant("2026-12-19T15:00:00Z")
    assert parsed.rule.next_after(first - 1) == first


def test_bounds_are_part_of_what_a_schedule_is() -> None:
    specs: list[dict[str, Any]] = [
        {"cron": "0 9 * * *"},
        {"cron": "0 9 * * *", "dst": "both"},
        {"cron": "0 9 * * *", "start": "2027-01-01"},
        {"cron": "0 9 * * *", "start": "2027-01-01", "dst": "both"},
        {"cron": "0 9 * * *", "end": "2027-01-01"},
        {"cron": "0 9 * * *", "exclude": "2027-01-01"},
        {"cron": "0 9 * * *", "exclude": "2027-01-02"},
        {"cron": "0 9 * * *", "exclude": "* 9 * * 1"},
        {"every": "1d", "exclude": "2027-01-01"},
        {"every": "1d", "exclude": "2027-01-01", "timezone": "Asia/Tokyo"},
        {"every": "1d"},
        {"every": "1d", "from": "end"},
        {"daily": "09:00"},
    ]
    found = {rule_identity(parse_schedule(spec).rule) for spec in specs}
    assert len(found) == len(specs)


def test_jitter_stays_below_its_bound_and_below_the_next_due_time() -> None:
    rule = cron_rule("0,1 * * * *")
    start = parse_instant("2026-11-22T00:00:00Z")
    times = list(rule.between(start - 1, start + 500 * HOUR))
    delays = [jitter_delay("a", one, HOUR, rule) for one in times]
    for (one, following), delay in zip(pairwise(times), delays, strict=False):
        assert 0 <= delay < min(HOUR, following - one)
        assert delay % 1_000 == 0
    # Spread over all of the room: a tenth in each tenth, give or take.
    shares = [delay * 10 // (59 * 60 * SECOND) for delay in delays[1::2]]
    assert all(20 < shares.count(tenth) < 90 for tenth in range(10))


def test_jitter_is_the_same_whenever_and_other_for_other_schedules() -> None:
    rule = cron_rule("0 * * * *")
    one = [jitter_delay("a", hour * HOUR, HOUR, rule) for hour in range(50)]
    again = [jitter_delay("a", hour * HOUR, HOUR, rule) for hour in range(50)]
    other = [jitter_delay("b", hour * HOUR, HOUR, rule) for hour in range(50)]
    assert one == again
    assert len(set(one)) > 45
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 3
    assert jitter_delay("a", HOUR, 0, rule) == 0


@pytest.mark.parametrize(
    ("spec", "error", "field"),
    [
        (
            {"every": "1h", "start": "2027-01-02", "end": "2027-01-01"},
            "end must be after start",
            "end",
        ),
        (
            {"cron": "0 9 1 1 *", "start": "2027-02-01", "end": "2027-03-01"},
            "no due time lies between start and end",
            "end",
        ),
        ({"every": "1h", "start": "tomorrow"}, "an instant looks like", "start"),
        ({"every": "1h", "start": "2027-02-30"}, "there is no day", "start"),
        ({"at": "2027-01-01T00:00:00Z", "end": "2028-01-01"}, "end goes with", "end"),
        ({"every": "1h", "exclude": []}, "exclude has 1 to 100", "exclude"),
        ({"every": "1h", "exclude": "freeze"}, '"freeze" is a calendar', "exclude"),
        ({"every": "1h", "exclude": "2027-1-1"}, "a day of a calendar", "exclude"),
        ({"every": "1h", "exclude": "60 * * * *"}, "minute must be 0-59", "exclude"),
        (
            {"every": "1h", "exclude": {"cron": "* * * * *"}},
            "an object in exclude is {calendar: NAME}",
            "exclude",
        ),
        ({"every": "1h", "blackout": "x"}, 'unknown calendar "x"', "blackout"),
        ({"every": "1h", "jitter": "25h"}, "jitter is at most 24h", "jitter"),
        ({"every": "1h", "jitter": "x"}, "a duration looks like", "jitter"),
        ({"every": "1h", "max_runs": 0}, "max_runs must be 1-", "max_runs"),
        ({"every": "1h", "max_runs": True}, "max_runs must be a whole", "max_runs"),
        ({"every": "1h", "from": "start"}, "from is end", "from"),
        (
            {"every": "1h", "from": "end", "jitter": "1m"},
            "jitter does not go with from: end",
            "jitter",
        ),
        ({"cron": "0 0 * * *", "from": "end"}, "from goes with every", "from"),
        ({"every": "1h", "from": "end", "anchor": "x"}, "anchor does not go", "anchor"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(
    spec: Mapping[str, Any], error: str, field: str
) -> None:
    with pytest.raises(RuleError) as caught:
        parse_schedule(spec, calendars=CALENDARS)
    assert str(caught.value).startswith(error)
    assert caught.value.field == field


def test_a_period_from_the_end_names_no_due_time_by_itself() -> None:
    for spec in ({"every": "10m", "from": "end"}, "every 10m from end"):
        rule = parse_schedule(spec).rule
        assert rule.canonical == "every 10m from end"
        assert next_times([rule], 0, 3) == []


def test_a_bare_period_is_an_interval() -> None:
    assert parse_schedule("30m").rule is parse_schedule("every 30m").rule
    assert parse_schedule(" 1h30m ").rule is parse_schedule({"every": "90m"}).rule
