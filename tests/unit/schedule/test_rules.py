"""What every rule promises, whatever its kind."""

from __future__ import annotations

import itertools
import random

import pytest

from jobs_grpc.schedule import (
    Rule,
    RuleError,
    at_rule,
    cron_rule,
    every_rule,
    format_instant,
    next_times,
    parse_instant,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOON = parse_instant("2026-11-01T12:00:00Z")
RULES: list[Rule] = [
    cron_rule("30 2 * * *", timezone="America/New_York"),
    cron_rule("*/7 * * * *", timezone="Australia/Lord_Howe"),
    cron_rule("0 0 29 2 *"),
    cron_rule("* * * * * *", timezone="Asia/Kathmandu"),
    cron_rule("15 1-3 * * 0L", timezone="Europe/Riga", dst="both"),
    cron_rule("0 */5 * * *", timezone="Africa/Casablanca", dst="last"),
    every_rule(90 * SECOND),
    every_rule(7 * 86_400 * SECOND, anchor=NOON),
    at_rule(NOON),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.canonical)
def test_due_times_are_later_and_in_order(rule: Rule) -> None:
    source = random.Random(1)
    for _ in range(40):
        after = NOON + source.randint(-(10**15), 10**15)
        due = rule.next_after(after)
        if due is None:
            continue
        assert due > after
        assert due % SECOND == 0
        # The instant before it has the same answer, and its own answer is later.
        assert rule.next_after(due - 1) == due
        following = rule.next_after(due)
        assert following is None or following > due


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.canonical)
def test_between_is_open_at_its_start_and_closed_at_its_end(rule: Rule) -> None:
    due = rule.next_after(NOON - 1)
    assert due is not None
    assert list(rule.between(due - 1, due)) == [due]
    assert list(rule.between(due, due)) == []
    assert list(rule.between(due, due - MINUTE)) == []


def test_between_counts_to_its_limit() -> None:
    rule = cron_rule("* * * * *")
    assert len(list(rule.between(NOON, NOON + 60 * MINUTE, limit=5))) == 5
    assert len(list(rule.between(NOON, NOON + 3 * MINUTE, limit=5))) == 3
    assert list(rule.between(NOON, NOON + 60 * MINUTE, limit=0)) == []


def test_between_of_all_time_is_lazy() -> None:
    for rule in RULES:
        times = list(itertools.islice(rule.between(NOON - 1, 10**18), 3))
        assert 1 <= len(times) <= 3


def test_between_without_a_limit_does_not_go_on_for_ever() -> None:
    times = every_rule(SECOND).between(0, 10**18)
    taken = itertools.islice(times, 1_000_000)
    assert sum(1 for _ in taken) == 1_000_000
    with pytest.raises(OverflowError, match="give a limit"):
        next(times)


def test_instants_far_away_are_answered() -> None:
    rule = cron_rule("0 0 * * *", timezone="Europe/Riga")
    assert rule.next_after(10**18) is None
    first = rule.next_after(-(10**18))
    assert first is not None
    assert format_instant(first).startswith("1900-01-01")


def test_an_interval_is_anchored_and_never_drifts() -> None:
    anchor = parse_instant("2001-01-01T00:00:00.250000Z")
    rule = every_rule(90 * SECOND, anchor=anchor)
    for moment in (0, anchor, NOON, NOON + 10**18, -(10**18)):
        due = rule.next_after(moment)
        assert (due - anchor) % (90 * SECOND) == 0
        assert moment < due <= moment + 90 * SECOND


def test_intervals_of_equal_meaning_are_one_object() -> None:
    rule = every_rule(30 * MINUTE)
    assert rule.canonical == "every 30m from 1970-01-01T00:00:00Z"
    assert every_rule(30 * MINUTE, anchor=parse_instant("2026-01-01T10:30:00Z")) is rule
    assert cron_rule("@every 30m") is rule
    shifted = every_rule(30 * MINUTE, anchor=parse_instant("2026-01-01T10:31:00Z"))
    assert shifted.canonical == "every 30m from 1970-01-01T00:01:00Z"
    assert shifted != rule


@pytest.mark.parametrize("period", [-1, 0, 1, SECOND - 1, 36_501 * 1_440 * MINUTE])
def test_an_interval_is_a_second_to_a_century(period: int) -> None:
    with pytest.raises(RuleError, match="every must be 1s to 36500d"):
        every_rule(period)


def test_once_is_once() -> None:
    rule = at_rule(NOON)
    assert rule.canonical == "at 2026-11-01T12:00:00Z"
    assert rule.timezone == "UTC"
    assert (rule.next_after(NOON - 1), rule.next_after(NOON)) == (NOON, None)
    assert at_rule(NOON) is rule


def test_an_instant_outside_the_calendar_is_no_rule() -> None:
    with pytest.raises(RuleError, match="years 1 to 9999"):
        at_rule(10**30)


def test_a_union_names_each_instant_once() -> None:
    rules = [cron_rule("0 */6 * * *"), cron_rule("0 0 * * *"), at_rule(NOON)]
    times = next_times(rules, NOON - 1, 4)
    assert [format_instant(time) for time in times] == [
        "2026-11-01T12:00:00Z",
        "2026-11-01T18:00:00Z",
        "2026-11-02T00:00:00Z",
        "2026-11-02T06:00:00Z",
    ]


def test_a_union_ends_where_its_rules_end() -> None:
    assert next_times([at_rule(NOON), at_rule(NOON + 1)], 0, 10) == [NOON, NOON + 1]
    assert next_times([], 0, 10) == []
    assert next_times(RULES, 0, 0) == []
