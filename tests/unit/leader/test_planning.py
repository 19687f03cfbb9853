"""What applying a definition would change, judged by a core that stands still."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.leader.planning import (
    Plan,
    collisions,
    key_changes,
    matching,
    plan,
)
from jobs_grpc.schedule import clock_changes, format_instant, parse_instant
from support.jobs import DAY, HOUR, MINUTE, NOON, key, spec
from support.stage import Stage


def planned(
    stage: Stage, *, count: int = 5, length: int | None = None, **keys: Any
) -> Plan:
    wanted = spec(**keys)
    standing = stage.core.live.jobs.get(wanted.key)
    return plan(standing, wanted, now=stage.now, count=count, length=length)


def due(plan_: Plan) -> list[tuple[str, str]]:
    return [(format_instant(one.at)[5:16], one.change) for one in plan_.due_times]


def test_a_new_job_only_adds() -> None:
    found = planned(Stage(), schedule="0 0 * * *", count=2)
    assert due(found) == [("03-03T00:00", "added"), ("03-04T00:00", "added")]
    changed = {one.key: (one.before, one.after) for one in found.changes}
    assert changed["schedule"] == ("", '"0 0 * * *"')
    assert changed["name"] == ("", '"backup"')


def test_an_equal_document_changes_nothing() -> None:
    stage = Stage()
    stage.apply(schedule="0 0 * * *")
    found = planned(stage, schedule="0 0 * * *")
    assert found.changes == ()
    assert {change for _, change in due(found)} == {"kept"}


def test_a_moved_schedule_takes_due_times_and_gives_others() -> None:
    stage = Stage()
    stage.apply(schedule="0 0 * * *")
    found = planned(stage, schedule="0 6 * * *", count=2)
    # As far as both lists are known: not to 06:00 of the second day.
    assert due(found) == [
        ("03-03T00:00", "removed"),
        ("03-03T06:00", "added"),
        ("03-04T00:00", "removed"),
    ]
    (change,) = found.changes
    assert change == ("schedule", '"0 0 * * *"', '"0 6 * * *"')


def test_rarer_due_times_do_not_look_as_if_later_ones_had_gone() -> None:
    stage = Stage()
    stage.apply(schedule="0 0 * * *")
    found = planned(stage, schedule="0 * * * *", count=5)
    assert [change for _, change in due(found)] == ["added"] * 5
    stage.apply(schedule="0 * * * *")
    found = planned(stage, schedule="0 0 * * *", count=5)
    assert [change for _, change in due(found)] == ["removed"] * 5


def test_nothing_is_due_of_what_is_switched_off() -> None:
    stage = Stage()
    stage.apply(schedule="0 0 * * *")
    found = planned(stage, schedule="0 0 * * *", enabled=False, count=2)
    assert due(found) == [("03-03T00:00", "removed"), ("03-04T00:00", "removed")]
    entry = {"cron": "0 0 * * *", "enabled": False}
    assert {change for _, change in due(planned(stage, schedule=entry))} == {"removed"}


def test_a_limited_number_of_runs_ends_the_list() -> None:
    found = planned(Stage(), schedule={"cron": "0 0 * * *", "max_runs": 3}, count=9)
    assert len(found.due_times) == 3


def test_a_blackout_is_named_and_does_not_collide() -> None:
    found = planned(
        Stage(),
        schedule={"cron": "0 * * * *", "blackout": "move"},
        calendars={"move": ["2026-03-03"]},
        timeout="9h",
        count=20,
        length=90 * MINUTE,
    )
    dark = [format_instant(one.at)[5:13] for one in found.due_times if one.blackout]
    assert dark == [f"03-03T{hour:02}" for hour in range(9)]
    assert {one.blackout for one in found.due_times} == {"", "move"}
    # From 13:00 to 23:00; every other one meets the run before.
    assert found.collisions is not None
    assert [format_instant(at)[11:13] for at in found.collisions] == [
        "14", "16", "18", "20", "22"
    ]  # fmt: skip


def test_without_a_known_length_nobody_knows_what_collides() -> None:
    assert planned(Stage(), schedule="* * * * *").collisions is None


def test_clock_changes_of_the_range_are_told() -> None:
    now = parse_instant("2027-03-27T12:00:00Z")
    wanted = spec(schedule={"cron": "30 2 * * *", "timezone": "Europe/Berlin"})
    found = plan(None, wanted, now=now, count=3, length=None)
    ((zone, change),) = found.clock_changes
    assert zone == "Europe/Berlin"
    assert format_instant(change.at) == "2027-03-28T01:00:00Z"
    assert change.shift == 3_600
    # The due time of the gap is at its end.
    assert found.due_times[0].at == change.at
    assert list(clock_changes("UTC", now, now + 400 * DAY)) == []
    assert [one.shift for one in clock_changes("Europe/Berlin", now, now + 400 * DAY)] == [
        3_600, -3_600, 3_600
    ]  # fmt: skip


def test_what_follows_the_end_of_runs_is_not_guessed() -> None:
    found = planned(Stage(), schedule={"every": "1h", "from": "end"})
    assert found.follows_ends
    assert found.due_times == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", "1", "2")]),
        ({"a": 1}, {}, [("a", "1", "")]),
        ({}, {"a": None}, [("a", "", "null")]),
        ({"o": {"x": 1, "y": 2}}, {"o": {"x": 1, "y": 3}}, [("o.y", "2", "3")]),
        ({"o": {"x": 1}}, {"o": "x"}, [("o", '{"x": 1}', '"x"')]),
        ({"l": [1, 2]}, {"l": [2]}, [("l", "[1, 2]", "[2]")]),
    ],
)
def test_documents_are_compared_key_by_key(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, ...]]
) -> None:
    assert [tuple(one) for one in key_changes(before, after)] == expected


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", [1, 2, 4, 5]),
        ({"policy": "allow", "max": 2}, [1, 2, 3, 4, 5]),
        ("replace", [1, 2, 3, 4, 5]),
    ],
)
def test_collisions_follow_the_policy(overlap: Any, expected: list[int]) -> None:
    wanted = spec(overlap=overlap, timeout="9h")
    times = [hour * HOUR for hour in range(6)]
    found = collisions(times, wanted, 150 * MINUTE)
    assert [at // HOUR for at in found] == expected


def test_a_run_lasts_no_longer_than_its_timeout() -> None:
    wanted = spec(timeout="30m")
    assert not list(collisions([0, HOUR], wanted, 2 * HOUR))


def test_workers_that_match_are_those_that_could_take_it_now() -> None:
    stage = Stage()
    stage.connect("db-1", labels={"role": "db"}, slots=2)
    stage.connect("web-1", labels={"role": "web"})
    gone = stage.connect("db-2", labels={"role": "db"})
    stage.cut(gone)
    sessions = stage.core.live.sessions.values()
    wanted = spec(targets={"selector": {"role": "db"}})
    assert matching(wanted, sessions) == ["db-1"]
    assert matching(spec(), sessions) == ["db-1", "web-1"]
    assert matching(spec(slots=2), sessions) == ["db-1"]
    assert matching(spec(function="f"), sessions) == []


def test_asking_changes_nothing() -> None:
    stage = Stage()
    job = stage.apply(schedule="0 0 * * *")
    before = (job.revision, tuple(job.schedules), stage.wake_at, NOON)
    planned(stage, schedule="0 6 * * *", length=HOUR)
    assert (job.revision, tuple(job.schedules), stage.wake_at, NOON) == before
    assert key() in stage.core.live.jobs
