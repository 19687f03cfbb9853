"""The `schedule:` value of a job file, one entry at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from jobs_grpc.schedule import ParsedSchedule, RuleError, parse_schedule


@pytest.mark.parametrize(
    ("spec", "canonical", "timezone"),
    [
        ("30 2 * * 1-6", "cron 30 2 * * 1-6", "Europe/Riga"),
        ("@hourly", "cron 0 * * * *", "Europe/Riga"),
        ("every 30m", "every 30m from 1970-01-01T00:00:00Z", "UTC"),
        (" Every  90 ", "every 1m30s from 1970-01-01T00:00:00Z", "UTC"),
        ("@every 5m", "every 5m from 1970-01-01T00:00:00Z", "UTC"),
        ({"cron": "0 0 * * *"}, "cron 0 0 * * *", "Europe/Riga"),
        ({"cron": "0 0 * * *", "timezone": "UTC"}, "cron 0 0 * * *", "UTC"),
        ({"every": "30m"}, "every 30m from 1970-01-01T00:00:00Z", "UTC"),
        ({"every": 90}, "every 1m30s from 1970-01-01T00:00:00Z", "UTC"),
        (
            {"every": "1d", "anchor": "2026-01-01T06:00:00+02:00"},
            "every 1d from 1970-01-01T04:00:00Z",
            "UTC",
        ),
        ({"at": "2027-01-15T10:00:00Z"}, "at 2027-01-15T10:00:00Z", "UTC"),
        ({"run_at": "2027-01-15T10:00:00Z"}, "at 2027-01-15T10:00:00Z", "UTC"),
        (
            {"at": datetime(2027, 1, 15, 10, tzinfo=UTC)},
            "at 2027-01-15T10:00:00Z",
            "UTC",
        ),
    ],
)
def test_every_spelling_has_its_rule(
    spec: str | Mapping[str, object], canonical: str, timezone: str
) -> None:
    parsed = parse_schedule(spec, default_timezone="Europe/Riga")
    assert (parsed.rule.canonical, parsed.rule.timezone) == (canonical, timezone)
    assert (parsed.name, parsed.params, parsed.enabled) == (None, {}, True)


def test_an_object_carries_name_params_and_state() -> None:
    parsed = parse_schedule(
        {
            "enabled": False,
            "params": {"database": "orders", "depth": 3, "full": True, "rate": 0.5},
            "cron": "30 1 * * *",
            "dst": "last",
            "timezone": "America/New_York",
            "name": "nightly",
        }
    )
    assert isinstance(parsed, ParsedSchedule)
    assert parsed.name == "nightly"
    assert parsed.enabled is False
    assert parsed.params == {
        "database": "orders",
        "depth": "3",
        "full": "true",
        "rate": "0.5",
    }


def test_the_source_is_what_was_written_in_a_fixed_order() -> None:
    assert parse_schedule("  30 2 * * MON-SAT ").source == "30 2 * * MON-SAT"
    written = {
        "params": {"depth": 3},
        "run_at": datetime(2027, 1, 15, 10, tzinfo=UTC),
        "name": "once",
    }
    source = json.dumps(parse_schedule(written).source)
    assert source == (
        '{"name": "once", "run_at": "2027-01-15T10:00:00Z", "params": {"depth": "3"}}'
    )
    assert parse_schedule(json.loads(source)).source == json.loads(source)


def test_the_seed_reaches_the_hash() -> None:
    one, other = (parse_schedule("H H * * *", seed=seed).rule for seed in ("a", "b"))
    assert one != other
    assert parse_schedule({"cron": "H H * * *"}, seed="a").rule is one


@pytest.mark.parametrize(
    ("spec", "error", "field"),
    [
        (
            "30 25 * * *",
            'hour must be 0-23, got "25" (at position 3)',
            None,
        ),
        (
            "every day",
            'a duration looks like 30s, 5m or 1h30m, got "day" (at position 6)',
            None,
        ),
        ("every 10ms", 'every must be 1s to 36500d, got "10ms" (at position 6)', None),
        (
            "2027-01-15T10:00:00Z",
            (
                "one instant is written as an object: {at: 2027-01-15T10:00:00Z}"
                " (at position 0)"
            ),
            None,
        ),
        (7, "a schedule is text or an object, got int", None),
        (None, "a schedule is text or an object, got NoneType", None),
        ({}, "a schedule needs one of cron, every, at, daily", None),
        ({"name": "x"}, "a schedule needs one of cron, every, at, daily", None),
        ({7: "x"}, 'the keys of a schedule are text, got "7"', None),
        (
            {"cron": "60 * * * *"},
            'minute must be 0-59, got "60" (at position 0)',
            "cron",
        ),
        ({"cron": 5}, "cron must be text, got int", "cron"),
        (
            {"cron": "0 0 * * *", "every": "5m"},
            "a schedule has one kind of rule, got cron and every: write two schedules",
            "every",
        ),
        (
            {"at": "2027-01-15T10:00:00Z", "run_at": "2027-01-15T10:00:00Z"},
            "a schedule has one kind of rule, got at and run_at: write two schedules",
            "run_at",
        ),
        (
            {"every": "5x"},
            'the unit of a duration is ms, s, m, h, d or w, got "x" (at position 1)',
            "every",
        ),
        ({"every": 0.5}, 'every must be 1s to 36500d, got "500ms"', "every"),
        ({"every": True}, "a duration looks like 30s, 5m or 1h30m, got bool", "every"),
        (
            {"every": "5m", "anchor": "noon"},
            'an instant looks like 2027-01-15T10:00:00Z, got "noon" (at position 0)',
            "anchor",
        ),
        (
            {"cron": "0 0 * * *", "anchor": "2027-01-15T10:00:00Z"},
            "anchor goes with every",
            "anchor",
        ),
        (
            {"at": "2027-01-15T10:00:00"},
            (
                "an instant needs its zone: end it with Z for UTC or an offset such as"
                ' +02:00, got "2027-01-15T10:00:00" (at position 19)'
            ),
            "at",
        ),
        (
            {"at": datetime(2027, 1, 15, 10)},  # noqa: DTZ001 - what it is about
            (
                "an instant needs its zone: end it with Z for UTC or an offset such as"
                ' +02:00, got "2027-01-15T10:00:00"'
            ),
            "at",
        ),
        (
            {"run_at": date(2027, 1, 15)},
            "an instant is text like 2027-01-15T10:00:00Z, got date",
            "run_at",
        ),
        (
            {"cron": "0 0 * * *", "timezone": "Europe/Rigga"},
            'unknown time zone "Europe/Rigga": did you mean "Europe/Riga"?',
            "timezone",
        ),
        (
            {"every": "5m", "timezone": "Europe/Rigga"},
            'unknown time zone "Europe/Rigga": did you mean "Europe/Riga"?',
            "timezone",
        ),
        ({"every": "5m", "timezone": 2}, "timezone must be text, got int", "timezone"),
        (
            {"cron": "0 0 * * *", "dst": "debain"},
            (
                'dst must be one of debian, skip, first, last, both, got "debain": did you'
                ' mean "debian"?'
            ),
            "dst",
        ),
        (
            {"cron": "0 0 * * *", "enabled": "no"},
            "enabled must be true or false",
            "enabled",
        ),
        ({"cron": "0 0 * * *", "name": ""}, "a name has 1-128", "name"),
        ({"cron": "0 0 * * *", "name": 5}, "name must be text, got int", "name"),
        ({"cron": "0 0 * * *", "params": ["a"]}, "params must be an object", "params"),
        (
            {"cron": "0 0 * * *", "params": {"a": None}},
            'the parameter "a" must be text, a number, true or false',
            "params",
        ),
        (
            {"cron": "0 0 * * *", "params": {1: "a"}},
            "a parameter's name is text",
            "params",
        ),
        (
            {"crn": "0 0 * * *"},
            'unknown key "crn": did you mean "cron"?',
            "crn",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_key(
    spec: Any, error: str, field: str | None
) -> None:
    with pytest.raises(RuleError) as caught:
        parse_schedule(spec)
    assert str(caught.value).startswith(error)
    assert caught.value.field == field


def test_the_default_zone_is_checked_for_intervals_too() -> None:
    with pytest.raises(RuleError, match="unknown time zone"):
        parse_schedule("every 5m", default_timezone="Europe/Rigga")


def test_a_schedule_may_be_disabled_for_a_while_and_say_why() -> None:
    parsed = parse_schedule(
        {
            "every": "1h",
            "disabled_until": "2027-01-01T00:00:00Z",
            "disabled_reason": "moving house",
        }
    )
    assert parsed.enabled
    assert parsed.disabled_until == 1_798_761_600_000_000
    assert parsed.disabled_reason == "moving house"


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"disabled_reason": "moving house"}, "disabled_reason"),
        ({"disabled_reason": "a\nb", "enabled": False}, "disabled_reason"),
        ({"disabled_reason": 7, "enabled": False}, "disabled_reason"),
        ({"disabled_until": "soon"}, "disabled_until"),
    ],
)
def test_what_is_said_about_being_disabled_must_make_sense(
    keys: dict[str, Any], field: str
) -> None:
    with pytest.raises(RuleError) as caught:
        parse_schedule({"every": "1h", **keys})
    assert caught.value.field == field
