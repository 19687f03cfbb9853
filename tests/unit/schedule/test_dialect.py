"""The dialect: what is read, as its canonical text, and what is refused, and where."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_grpc.schedule import (
    RuleError,
    cron_rule,
    format_instant,
    next_times,
    parse_instant,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("30 2 * * 1-6", "30 2 * * 1-6"),
        ("  30\t2 * *   1-6 ", "30 2 * * 1-6"),
        ("05 02 * * *", "5 2 * * *"),
        ("0 30 2 * * *", "30 2 * * *"),
        ("15 30 2 * * *", "15 30 2 * * *"),
        ("*/10 * * * * *", "*/10 * * * * *"),
        ("30 2 * jan-Mar MON,wed", "30 2 * 1-3 1,3"),
        ("1,3,2 * * * *", "1-3 * * * *"),
        ("0 9-17/2 * * *", "0 9,11,13,15,17 * * *"),
        ("0 22-2 * * *", "0 0-2,22,23 * * *"),
        # croniter reads this as 2 and 22: the step must go on across midnight.
        ("0 22-3/3 * * *", "0 1,22 * * *"),
        ("0 0 28-3 * *", "0 0 1-3,28-31 * *"),
        ("0 0 1 NOV-FEB *", "0 0 1 1,2,11,12 *"),
        ("0 0 * * FRI-MON", "0 0 * * 0,1,5,6"),
        ("0 0 * * 0", "0 0 * * 0"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * 7-2", "0 0 * * 0-2"),
        ("0 0 * * 1-7/3", "0 0 * * 0,1,4"),
        ("0 0 * * 0-7", "0 0 * * 0-6"),
        ("0 0 * * SUN-SUN", "0 0 * * 0"),
        # croniter reads an equal range as every value.
        ("10 4-4 * * *", "10 4 * * *"),
        ("10 4-4/2 * * *", "10 4 * * *"),
        # N/step is N to the last value: what croniter means since 7.0, and Quartz.
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("59/15 * * * *", "59 * * * *"),
        ("0 0 * * 1/3", "0 0 * * 1,4"),
        ("0 0 * * 7/3", "0 0 * * 0,3,6"),
        ("0 0 1 DEC/3 *", "0 0 1 12 *"),
        ("*/15 * * * *", "*/15 * * * *"),
        ("*/1 * * * *", "* * * * *"),
        ("*/60 * * * *", "*/60 * * * *"),
        # A star that comes first counts as one; Debian looks at the first character.
        ("*,5 * * * *", "* * * * *"),
        ("5,* * * * *", "0-59 * * * *"),
        ("*/20,7 * * * *", "*/20,7 * * * *"),
        ("0-59 * * * *", "0-59 * * * *"),
        ("0 0 ? * MON", "0 0 * * 1"),
        ("0 0 1 * ?", "0 0 1 * *"),
        ("0 0 L * *", "0 0 L * *"),
        ("0 0 l,15 * *", "0 0 15,L * *"),
        ("0 0 * * 5L", "0 0 * * 5L"),
        ("0 0 * * friL", "0 0 * * 5L"),
        ("0 0 * * 7L", "0 0 * * 0L"),
        ("0 0 * * MON#1,7#2", "0 0 * * 0#2,1#1"),
        ("0 0 * * 1-3,5#2", "0 0 * * 1-3,5#2"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),  # either day will do
        ("0 0 * 2 1#5", "0 0 * 2 1#5"),  # 2044 has one
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        (" @hourly ", "0 * * * *"),
    ],
)
def test_expressions_have_one_canonical_text(text: str, canonical: str) -> None:
    rule = cron_rule(text)
    assert rule.canonical == f"cron {canonical}"
    assert cron_rule(canonical) is rule


COUNT = (
    "a cron expression has 5 fields (minute, hour, day-of-month, month, day-of-week)"
    " or 6 (second first), got"
)
ERRORS = [
    ("", f"{COUNT} 0", 0),
    ("   ", f"{COUNT} 0", 0),
    ("* * * *", f"{COUNT} 4", 7),
    ("* * * * * * *", f"{COUNT} 7; a year field is not supported", 12),
    ("0 0 1 1 * 2030 x y", f"{COUNT} 8", 15),
    ("hourly", f'{COUNT} 1: did you mean "@hourly"?', 6),
    ("every 5m", f"{COUNT} 2; an interval is written with every in place of cron", 8),
    ("30 25 * * *", 'hour must be 0-23, got "25"', 3),
    ("  60 * * * *", 'minute must be 0-59, got "60"', 2),
    ("60 * * * * *", 'second must be 0-59, got "60"', 0),
    ("1,2,61 * * * *", 'minute must be 0-59, got "61"', 4),
    ("0 0 0 * *", 'day-of-month must be 1-31, got "0"', 4),
    ("0 0 32 * *", 'day-of-month must be 1-31, got "32"', 4),
    ("0 0 1 0 *", 'month must be 1-12 or JAN-DEC, got "0"', 6),
    ("0 0 1 foo *", 'month must be 1-12 or JAN-DEC, got "foo"', 6),
    ("0 0 * * 8", 'day-of-week must be 0-7 or SUN-SAT, got "8"', 8),
    ("0 0 * * 1-9", 'day-of-week must be 0-7 or SUN-SAT, got "9"', 10),
    (
        "0 0 * * monday",
        'day-of-week must be 0-7 or SUN-SAT, got "monday": write "MON"',
        8,
    ),
    ("0 0 * * /usr/bin/backup", "day-of-week has a step of nothing: write */n", 8),
    ("*/0 * * * *", 'the step of minute must be 1-60, got "0"', 2),
    ("*/x * * * *", 'the step of minute must be 1-60, got "x"', 2),
    ("*/ * * * *", 'the step of minute must be 1-60, got ""', 2),
    ("1/2/3 * * * *", 'the step of minute must be 1-60, got "2/3"', 2),
    (
        "*/90 * * * *",
        'the step of minute must be 1-60, got "90": an interval is written every 90m',
        2,
    ),
    ("0 0 1 */13 *", 'the step of month must be 1-12, got "13"', 8),
    ("/5 * * * *", "minute has a step of nothing: write */n", 0),
    ("1,,2 * * * *", "minute has an empty item in its list", 2),
    ("1, * * * *", "minute has an empty item in its list", 2),
    ("1- * * * *", 'a range of minute needs both its ends, got "1-"', 0),
    ("-5 * * * *", 'a range of minute needs both its ends, got "-5"', 0),
    ("1-2-3 * * * *", 'minute must be 0-59, got "2-3"', 2),
    ("5-* * * * *", 'minute must be 0-59, got "*"', 2),
    ("+5 * * * *", 'minute must be 0-59, got "+5"', 0),
    ("9999999999999 * * * *", 'minute must be 0-59, got "9999999999999"', 0),
    ("L * * * *", 'minute must be 0-59, got "L"', 0),
    ("R * * * *", 'minute must be 0-59, got "R"', 0),
    ("0 0 20-L * *", 'day-of-month must be 1-31, got "L"', 7),
    ("0 0 L/2 * *", "no step can follow L or #", 5),
    (
        "0 0 15W * *",
        'the nearest weekday (W) is not supported: name the days, got "15W"',
        4,
    ),
    (
        "0 0 LW * *",
        'the nearest weekday (W) is not supported: name the days, got "LW"',
        4,
    ),
    (
        "0 0 * * L",
        'the last weekday of a month is written 5L (here Friday), got "L"',
        8,
    ),
    (
        "0 0 * * L5",
        'the last weekday of a month is written 5L (here Friday), got "L5"',
        8,
    ),
    ("0 0 * * 1#6", 'the number after # must be 1-5, got "6"', 10),
    ("0 0 * * 1#", 'the number after # must be 1-5, got ""', 10),
    ("0 0 * * 1-5#2", 'day-of-week must be 0-7 or SUN-SAT, got "1-5"', 8),
    ("? * * * *", "? stands alone, for day-of-month or day-of-week", 0),
    ("0 0 1,? * *", "? stands alone, for day-of-month or day-of-week", 6),
    ("H(5-3) * * * *", 'the range of H must rise and lie in 0-59, got "H(5-3)"', 0),
    ("H(0-99) * * * *", 'minute must be 0-59, got "99"', 4),
    ("H(1) * * * *", 'H is written H, H/15 or H(0-29), got "H(1)"', 0),
    ("1–5 * * * *", "unexpected character '\\u2013'", 1),  # noqa: RUF001 - as pasted
    (
        "0 0 31 2 *",
        "this expression is never due: none of its months has such a day",
        4,
    ),
    (
        "0 0 31 4,6,9,11 *",
        "this expression is never due: none of its months has such a day",
        4,
    ),
    (
        "0 0 0 */31 * 1#5",
        "this expression is never due: none of its months has such a day",
        6,
    ),
    (
        "CRON_TZ=UTC 0 0 * * *",
        "the time zone is not part of the expression: write it as timezone",
        0,
    ),
    (
        "@reboot",
        (
            "@reboot is not supported, for a fleet has no single start: use the service"
            " manager of the host"
        ),
        0,
    ),
    ("@dayly", 'unknown alias "@dayly": did you mean "@daily"?', 0),
    ("@hourly 5", "nothing can follow @hourly", 7),
    ("@every", "a duration looks like 30s, 5m or 1h30m, got nothing", 6),
    ("@every 5x", 'the unit of a duration is ms, s, m, h, d or w, got "x"', 8),
    ("@every 0s", 'every must be 1s to 36500d, got "0s"', 7),
    ("* " * 5_000, "a cron expression has at most 1000 characters", 1_000),
]


@pytest.mark.parametrize(("text", "message", "position"), ERRORS)
def test_what_is_wrong_is_said_with_its_place(
    text: str, message: str, position: int
) -> None:
    with pytest.raises(RuleError) as caught:
        cron_rule(text)
    error = caught.value
    assert (error.message, error.position) == (message, position)
    assert str(error) == f"{message} (at position {position})"
    assert error.text == text


def test_every_mistake_is_found_at_once() -> None:
    cron_rule(
        "1 1 1 1 1"
    )  # what the first expression of a process loads is not at stake
    for text, _, _ in ERRORS:
        begin = time.perf_counter()
        with pytest.raises(RuleError):
            cron_rule(text)
        # The promise is 10 ms; the rest is for other work on the same machine.
        assert time.perf_counter() - begin < 0.1, text


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="0123456789*/,-#?LWH()@ MONJA", max_size=24))
def test_any_text_is_a_rule_or_a_rule_error(text: str) -> None:
    try:
        assert cron_rule(text).next_after(0) is not None
    except RuleError as error:
        position = error.position
    else:
        position = 0
    assert position is not None
    assert 0 <= position <= len(text)


def test_equal_meanings_are_one_object() -> None:
    rule = cron_rule("0 30 2 * * MON-SAT", timezone="Europe/Riga")
    assert rule is cron_rule("30 2 * * 1-6", timezone="Europe/Riga")
    assert rule != cron_rule("30 2 * * 1-6", timezone="UTC")
    assert rule != cron_rule("30 2 * * 1-6", timezone="Europe/Riga", dst="skip")
    assert len({rule, cron_rule("30 2 ? * 1-6", timezone="Europe/Riga")}) == 1


def test_both_days_restricted_means_either_of_them() -> None:
    rule = cron_rule("0 0 13 * 5")
    times = next_times([rule], parse_instant("2026-02-01T00:00:00Z"), 5)
    days = [format_instant(time)[:10] for time in times]
    assert days == [
        "2026-02-06",
        "2026-02-13",
        "2026-02-20",
        "2026-02-27",
        "2026-03-06",
    ]


def test_a_star_with_a_step_does_not_restrict_the_day() -> None:
    # Debian: a column that starts with a star is ANDed, so these are odd Mondays.
    rule = cron_rule("0 0 */2 * 1")
    times = next_times([rule], parse_instant("2026-02-01T00:00:00Z"), 3)
    days = [format_instant(time)[:10] for time in times]
    assert days == ["2026-02-09", "2026-02-23", "2026-03-09"]


def test_a_hash_is_stable_and_spreads() -> None:
    # Pinned: due times must not move with a release, ours or that of a library.
    assert cron_rule("H H * * *", seed="backup").canonical == "cron 2 15 * * *"
    drawn = {cron_rule("H * * * *", seed=str(n)).canonical for n in range(1_000)}
    assert len(drawn) == 60


def test_a_hash_stays_in_its_range() -> None:
    for number in range(200):
        seed = str(number)
        minute = cron_rule("H(10-19) * * * *", seed=seed).canonical.split()[1]
        assert 10 <= int(minute) <= 19
        quarter = cron_rule("H/15 * * * *", seed=seed).canonical.split()[1]
        minutes = [int(word) for word in quarter.split(",")]
        assert minutes == [minutes[0] + 15 * n for n in range(4)]
        assert minutes[0] < 15
        # A monthly job runs in every month.
        assert int(cron_rule("0 0 H * *", seed=seed).canonical.split()[3]) <= 28


def test_minute_and_hour_of_one_seed_are_drawn_apart() -> None:
    drawn = {cron_rule("0 H H * * *", seed=str(n)).canonical for n in range(1_440)}
    assert len(drawn) > 800
