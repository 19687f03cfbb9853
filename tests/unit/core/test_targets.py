"""Jobs that would rather skip a due time than have it wait for a worker."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.fleet.sessions import SESSION_TTL
from support.jobs import NOON, SECOND
from support.stage import Stage

SKIPS: dict[str, Any] = {
    "schedule": "every 1m",
    "overlap": "allow",
    "targets": {"selector": {"role": "db"}, "if_none": "skip"},
}


def reasons(stage: Stage) -> list[str]:
    return [row.reason or row.outcome for row in stage.decisions()]


def test_a_due_time_that_nobody_could_serve_is_skipped(stage: Stage) -> None:
    stage.connect("web", labels={"role": "web"})
    stage.apply(**SKIPS)
    stage.wait(60)
    assert reasons(stage) == ["no_target"]
    assert stage.rows() == []


def test_where_no_worker_ever_was_none_is_waited_for(stage: Stage) -> None:
    stage.apply(**SKIPS)
    stage.wait(60)
    assert reasons(stage) == ["no_target"]


def test_without_it_the_execution_waits_for_a_worker(stage: Stage) -> None:
    stage.apply(**{**SKIPS, "targets": {"selector": {"role": "db"}}})
    stage.wait(60)
    assert reasons(stage) == ["started"]
    assert [row.state for row in stage.rows()] == ["pending"]


@pytest.mark.parametrize("keys", [{"function": "f"}, {"slots": 3}])
def test_function_and_slots_count_as_labels_do(
    stage: Stage, keys: dict[str, Any]
) -> None:
    stage.connect("db", labels={"role": "db"}, slots=2)
    stage.apply(**{**SKIPS, **keys})
    stage.wait(60)
    assert reasons(stage) == ["no_target"]


def test_a_worker_that_is_busy_or_away_for_a_moment_is_a_worker(stage: Stage) -> None:
    session = stage.connect("db", labels={"role": "db"}, slots=1)
    stage.apply(**SKIPS)
    stage.wait(60)
    stage.cut(session)
    stage.apply(**{**SKIPS, "schedule": "every 1s"})
    stage.wait(1)
    assert reasons(stage) == ["started", "started"]


def test_a_new_leader_gives_the_workers_time_to_come_back(stage: Stage) -> None:
    # One has been there, some time.
    stage.connect("web", labels={"role": "web"})
    stage.apply(**{**SKIPS, "schedule": "every 10s"})
    stage.restart(after=11)
    assert stage.decisions()[-1].due_at == NOON + 10 * SECOND
    assert reasons(stage)[-1] == "started"
    stage.live_through(SESSION_TTL // SECOND + 10)
    assert reasons(stage)[-1] == "no_target"
