"""What schedules do where the clocks change, told by hand; the oracle has the rest."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs_grpc.schedule import cron_rule, format_instant, parse_instant

NEW_YORK = "America/New_York"
SPRING = ("2026-03-08T00:00:00-05:00", "2026-03-08T06:00:00-04:00")
AUTUMN = ("2026-11-01T00:00:00-04:00", "2026-11-01T06:00:00-05:00")


def due(
    text: str, zone: str, range_: tuple[str, str], dst: str = "debian"
) -> list[str]:
    """Return the due times of (start, end] as UTC clock times."""
    start, end = (parse_instant(word) for word in range_)
    rule = cron_rule(text, timezone=zone, dst=dst)
    return [format_instant(time)[11:16] for time in rule.between(start, end)]


@pytest.mark.parametrize(
    ("text", "dst", "spring", "autumn"),
    [
        # Fixed times: once right after the gap (03:00 EDT is 07:00 UTC), once at the
        # first of two (01:30 EDT is 05:30 UTC).
        ("30 2 * * *", "debian", ["07:00"], ["07:30"]),
        ("30 1 * * *", "debian", ["06:30"], ["05:30"]),
        ("0,30 2 * * *", "debian", ["07:00"], ["07:00", "07:30"]),
        ("0 2,3 * * *", "debian", ["07:00"], ["07:00", "08:00"]),
        ("0 30 2 * * *", "debian", ["07:00"], ["07:30"]),
        ("30 1-2/1 * * *", "debian", ["06:30", "07:00"], ["05:30", "07:30"]),
        # Wildcards: real time, nothing extra.
        ("*/30 2 * * *", "debian", [], ["07:00", "07:30"]),
        (
            "*/30 1 * * *",
            "debian",
            ["06:00", "06:30"],
            ["05:00", "05:30", "06:00", "06:30"],
        ),
        ("0 */2 * * *", "debian", ["08:00", "10:00"], ["07:00", "09:00", "11:00"]),
        # The policies, for fixed times ...
        ("30 2 * * *", "skip", [], ["07:30"]),
        ("30 1 * * *", "skip", ["06:30"], ["05:30"]),
        ("30 2 * * *", "first", ["07:00"], ["07:30"]),
        ("30 1 * * *", "first", ["06:30"], ["05:30"]),
        ("30 2 * * *", "last", ["07:00"], ["07:30"]),
        ("30 1 * * *", "last", ["06:30"], ["06:30"]),
        ("30 2 * * *", "both", ["07:00"], ["07:30"]),
        ("30 1 * * *", "both", ["06:30"], ["05:30", "06:30"]),
        # ... and for wildcards, which they treat alike.
        ("*/30 1 * * *", "skip", ["06:00", "06:30"], ["05:00", "05:30"]),
        ("*/30 2 * * *", "first", ["07:00"], ["07:00", "07:30"]),
        ("*/30 1 * * *", "first", ["06:00", "06:30"], ["05:00", "05:30"]),
        ("*/30 1 * * *", "last", ["06:00", "06:30"], ["06:00", "06:30"]),
        (
            "*/30 1 * * *",
            "both",
            ["06:00", "06:30"],
            ["05:00", "05:30", "06:00", "06:30"],
        ),
    ],
)
def test_new_york(text: str, dst: str, spring: list[str], autumn: list[str]) -> None:
    assert due(text, NEW_YORK, SPRING, dst) == spring
    assert due(text, NEW_YORK, AUTUMN, dst) == autumn


@pytest.mark.parametrize("text", ["30 1 * * *", "30 2 * * *"])
@pytest.mark.parametrize(
    "start", ["2026-03-01T00:00:00-05:00", "2026-10-25T00:00:00-04:00"]
)
def test_a_nightly_job_runs_once_a_day_around_both_changes(
    text: str, start: str
) -> None:
    first = datetime.fromisoformat(start)
    rule = cron_rule(text, timezone=NEW_YORK)
    begin = parse_instant(start)
    times = rule.between(begin, begin + 14 * 86_400_000_000)
    days = [
        datetime.fromtimestamp(time / 1_000_000, ZoneInfo(NEW_YORK)).date()
        for time in times
    ]
    assert days == [(first + timedelta(days=n)).date() for n in range(14)]


def test_asking_amid_the_repeated_hour_repeats_nothing() -> None:
    amid = parse_instant("2026-11-01T01:10:00-05:00")  # the second 01:10
    fixed = cron_rule("30 1 * * *", timezone=NEW_YORK)
    assert fixed.next_after(amid) == parse_instant("2026-11-02T01:30:00-05:00")
    last = cron_rule("30 1 * * *", timezone=NEW_YORK, dst="last")
    assert last.next_after(amid) == parse_instant("2026-11-01T01:30:00-05:00")
    wildcard = cron_rule("*/30 1 * * *", timezone=NEW_YORK)
    assert wildcard.next_after(amid) == parse_instant("2026-11-01T01:30:00-05:00")


def test_every_hour_is_every_real_hour() -> None:
    assert len(due("0 * * * *", NEW_YORK, SPRING)) == 5
    assert len(due("0 * * * *", NEW_YORK, AUTUMN)) == 7


def test_half_an_hour_in_lord_howe() -> None:
    # From 02:00 (+11) back to 01:30 (+10:30), at 15:00 UTC.
    night = ("2026-04-04T14:00:00Z", "2026-04-04T16:30:00Z")
    twice = due("*/15 * * * *", "Australia/Lord_Howe", night)
    assert len(twice) == 10
    assert due("45 1 * * *", "Australia/Lord_Howe", night) == ["14:45"]
    assert due("45 * * * *", "Australia/Lord_Howe", night) == [
        "14:45",
        "15:15",
        "16:15",
    ]
    assert due("0 */2 * * *", "Australia/Lord_Howe", night) == ["15:30"]


def test_the_gap_at_midnight_in_beirut() -> None:
    # From 00:00 to 01:00, at 22:00 UTC of the day before.
    night = ("2026-03-28T20:00:00Z", "2026-03-29T20:59:00Z")
    assert due("0 0 * * *", "Asia/Beirut", night) == ["22:00"]
    assert due("30 0 29 3 *", "Asia/Beirut", night) == ["22:00"]
    assert due("0 0 29 3 *", "Asia/Beirut", night, "skip") == []


def test_a_day_that_never_was_in_apia() -> None:
    # 2011-12-30: a correction of the calendar and no daylight saving.
    days = ("2011-12-29T00:00:00-10:00", "2011-12-31T23:59:00+14:00")
    for dst in ("debian", "skip", "first", "last", "both"):
        assert due("0 12 * * *", "Pacific/Apia", days, dst) == ["22:00", "22:00"]
        assert due("0 12 30 12 *", "Pacific/Apia", days, dst) == []


def test_two_hours_in_troll() -> None:
    night = ("2026-03-29T00:00:00Z", "2026-03-29T06:00:00Z")
    assert due("30 1 * * *", "Antarctica/Troll", night) == ["01:00"]
    assert due("30 2 * * *", "Antarctica/Troll", night) == ["01:00"]
    assert due("30 * * * *", "Antarctica/Troll", night)[:2] == ["00:30", "01:30"]


def test_a_schedule_that_lives_in_gaps_only_ends_its_search() -> None:
    # The clocks of Riga have no 03:30 on the last Sunday of March.
    rule = cron_rule("30 3 * 3 0L", timezone="Europe/Riga", dst="skip")
    assert rule.next_after(parse_instant("2026-01-01T00:00:00Z")) is None
    assert due(
        "30 3 * 3 0L", "Europe/Riga", ("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z")
    ) == ["01:00"]
