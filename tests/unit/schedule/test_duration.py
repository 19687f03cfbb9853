from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_grpc.schedule import RuleError, format_duration, parse_duration

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("500ms", 500_000),
        ("30s", 30 * SECOND),
        ("5m", 300 * SECOND),
        ("1h30m", 5_400 * SECOND),
        ("2d", 172_800 * SECOND),
        ("1w", 604_800 * SECOND),
        ("1w2d3h4m5s6ms", 788_645 * SECOND + 6_000),
        ("90", 90 * SECOND),
        ("0.5", 500_000),
        ("1.5h", 5_400 * SECOND),
        ("0.001ms", 1),
        (" 30s ", 30 * SECOND),
        ("0", 0),
        ("0s", 0),
        (90, 90 * SECOND),
        (0.25, 250_000),
        (0.1 + 0.2, 300_000),
        ("36500d", 36_500 * 86_400 * SECOND),
    ],
)
def test_durations_are_read(text: str | float, microseconds: int) -> None:
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "a duration looks like 30s, 5m or 1h30m, got nothing (at position 0)"),
        ("  ", "a duration looks like 30s, 5m or 1h30m, got nothing (at position 0)"),
        ("soon", 'a duration looks like 30s, 5m or 1h30m, got "soon" (at position 0)'),
        (
            "5x",
            'the unit of a duration is ms, s, m, h, d or w, got "x" (at position 1)',
        ),
        (
            "5M",
            'the unit of a duration is ms, s, m, h, d or w, got "M" (at position 1)',
        ),
        (
            "1h30",
            "the unit of a duration is ms, s, m, h, d or w, got none (at position 4)",
        ),
        (
            "1h 5m",
            'a duration looks like 30s, 5m or 1h30m, got "1h 5m" (at position 2)',
        ),
        (
            "1h-5m",
            'a duration looks like 30s, 5m or 1h30m, got "1h-5m" (at position 2)',
        ),
        (
            "1y",
            'the unit of a duration is ms, s, m, h, d or w, got "y" (at position 1)',
        ),
        (
            "5 m",
            "the unit of a duration is ms, s, m, h, d or w, got none (at position 1)",
        ),
        (
            "30m1h",
            (
                "the units of a duration go from large to small, each once, got"
                ' "30m1h" (at position 3)'
            ),
        ),
        (
            "5m5m",
            (
                "the units of a duration go from large to small, each once, got"
                ' "5m5m" (at position 2)'
            ),
        ),
        ("-5m", "a duration cannot be negative (at position 0)"),
        (" -5", "a duration cannot be negative (at position 1)"),
        ("0.0001ms", "a duration cannot be finer than a microsecond (at position 0)"),
        ("36501d", "a duration is at most 36500d (at position 0)"),
        ("9" * 60, "a duration is at most 36500d (at position 0)"),
        ("٣s", 'a duration looks like 30s, 5m or 1h30m, got "٣s" (at position 0)'),
        (-1, "a duration cannot be negative"),
        (-0.5, "a duration cannot be negative"),
        (math.nan, "a duration is a finite number of seconds, got nan"),
        (math.inf, "a duration is a finite number of seconds, got inf"),
        (1e300, "a duration is at most 36500d (at position 0)"),
        (10**30, "a duration is at most 36500d (at position 0)"),
        (True, "a duration looks like 30s, 5m or 1h30m, got bool"),
        (None, "a duration looks like 30s, 5m or 1h30m, got NoneType"),
    ],
)
def test_what_is_no_duration_is_refused_with_its_place(text: str, error: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_duration(text)
    assert str(caught.value) == error


@pytest.mark.parametrize("text", ["9" * 100_000, 10**5_000], ids=["text", "number"])
def test_endless_digits_are_refused_and_not_repeated(text: str | int) -> None:
    with pytest.raises(RuleError) as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0s"),
        (90 * SECOND, "1m30s"),
        (500_000, "500ms"),
        (1_500_000, "1s500ms"),
        (1_250, "1.25ms"),
        (1, "0.001ms"),
        (604_800 * SECOND, "7d"),
        (5_400 * SECOND, "1h30m"),
        (-90 * SECOND, "-1m30s"),
    ],
)
def test_durations_have_one_canonical_text(microseconds: int, text: str) -> None:
    assert format_duration(microseconds) == text


@settings(deadline=None, derandomize=True)
@given(st.integers(min_value=0, max_value=36_500 * 86_400 * SECOND))
def test_a_canonical_text_means_what_was_written(microseconds: int) -> None:
    assert parse_duration(format_duration(microseconds)) == microseconds


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_rule_error(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except RuleError as error:
        position = error.position
    else:
        position = 0
    assert position is not None
    assert 0 <= position <= len(text)
