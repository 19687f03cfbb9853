from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_grpc.schedule import RuleError, format_instant, parse_instant

NEW_YEAR_2026 = 1_767_225_600_000_000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00:00Z", NEW_YEAR_2026),
        ("2026-01-01t02:00:00+02:00", NEW_YEAR_2026),
        ("2025-12-31 18:30:00-05:30", NEW_YEAR_2026),
        ("2026-01-01T00:00:00.5z", NEW_YEAR_2026 + 500_000),
        ("2026-01-01T00:00:00.123456789Z", NEW_YEAR_2026 + 123_456),
        (" 2026-01-01T00:00:00Z\n", NEW_YEAR_2026),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
    ],
)
def test_instants_are_read(text: str, instant: int) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "2027-01-15T10:00:00",
            (
                "an instant needs its zone: end it with Z for UTC or an offset such as"
                ' +02:00, got "2027-01-15T10:00:00" (at position 19)'
            ),
        ),
        (
            "2027-01-15",
            (
                "an instant looks like 2027-01-15T10:00:00Z, got"
                ' "2027-01-15" (at position 10)'
            ),
        ),
        (
            "tomorrow",
            'an instant looks like 2027-01-15T10:00:00Z, got "tomorrow" (at position 0)',
        ),
        (
            "2027-01-15T10:00Z",
            (
                "an instant looks like 2027-01-15T10:00:00Z, got"
                ' "2027-01-15T10:00Z" (at position 16)'
            ),
        ),
        (
            "2027-01-15T10:00:00+0200",
            (
                "an instant looks like 2027-01-15T10:00:00Z, got"
                ' "2027-01-15T10:00:00+0200" (at position 19)'
            ),
        ),
        ("2027-13-15T10:00:00Z", 'month must be 1-12, got "13" (at position 5)'),
        (
            "2027-02-29T10:00:00Z",
            'day of 2027-02 must be 1-28, got "29" (at position 8)',
        ),
        (" 2027-01-15T24:00:00Z", 'hour must be 0-23, got "24" (at position 12)'),
        ("2027-01-15T10:00:60Z", 'second must be 0-59, got "60" (at position 17)'),
        (
            "2027-01-15T10:00:00+99:00",
            'an offset must be -23:59 to +23:59, got "+99:00" (at position 19)',
        ),
        ("0000-01-15T10:00:00Z", 'year must be 1-9999, got "0000" (at position 0)'),
        (
            "0001-01-01T00:00:00+01:00",
            "an instant lies in the years 1 to 9999 (at position 0)",
        ),
        ("", 'an instant looks like 2027-01-15T10:00:00Z, got "" (at position 0)'),
        (7, "an instant is text like 2027-01-15T10:00:00Z, got int"),
    ],
)
def test_what_is_no_instant_is_refused_with_its_place(text: str, error: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_instant(text)
    assert str(caught.value) == error


def test_microseconds_are_printed_only_where_there_are_any() -> None:
    assert format_instant(NEW_YEAR_2026) == "2026-01-01T00:00:00Z"
    assert format_instant(NEW_YEAR_2026 + 1) == "2026-01-01T00:00:00.000001Z"


def test_an_instant_outside_the_calendar_is_refused() -> None:
    with pytest.raises(RuleError, match="years 1 to 9999"):
        format_instant(10**30)


@settings(deadline=None, derandomize=True)
@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_text(moment: datetime) -> None:
    microseconds = parse_instant(moment.isoformat())
    assert parse_instant(format_instant(microseconds)) == microseconds


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=30))
def test_any_text_is_an_instant_or_a_rule_error(text: str) -> None:
    try:
        parse_instant(text)
    except RuleError as error:
        position = error.position
    else:
        position = 0
    assert position is not None
    assert 0 <= position <= len(text)
