"""What kept an execution waiting, besides its turn, is part of its story."""

from __future__ import annotations

from typing import Any

from jobs_grpc.controlplane.core.answers.delays import LINES, TOLD
from support.jobs import NOON, SECOND
from support.stage import Stage


def waited(stage: Stage, id_: str) -> list[tuple[str, int, int]]:
    """Return (reason, seconds from, seconds until) after noon of each wait."""
    return [
        (
            one["reason"],
            (one["from"] - NOON) // SECOND,
            (one["until"] - NOON) // SECOND,
        )
        for one in stage.story(id_, "waited")
    ]


def test_that_no_worker_was_there(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    stage.live_through(12)
    stage.connect()
    assert waited(stage, id_) == [("because no worker is connected", 0, 12)]


def test_all_that_wait_in_the_line_are_told_not_only_its_head(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(3)
    stage.live_through(4)
    stage.connect(slots=3)
    assert [waited(stage, id_)[0][1:] for id_ in ids] == [(0, 4)] * 3


def test_full_slots_leave_no_note(stage: Stage) -> None:
    first, second = stage.submit_ad_hoc(2)
    session = stage.connect(slots=1)
    stage.live_through(10)
    (fence,) = session.leases
    stage.end(session, fence)
    assert stage.row(second).fence
    assert waited(stage, first) == waited(stage, second) == []


def test_what_came_after_full_slots_counts_from_when_it_was_seen(stage: Stage) -> None:
    _, id_ = stage.submit_ad_hoc(2)
    session = stage.connect(slots=1)
    stage.live_through(10)
    stage.cut(session)
    stage.live_through(10)
    ((reason, begin, end),) = _after_return(stage, id_)
    assert "w1 is disconnected" in reason
    assert (begin, end) == (10, 20)


def _after_return(stage: Stage, id_: str) -> list[tuple[str, int, int]]:
    stage.connect("w2")
    return waited(stage, id_)


def test_that_a_run_of_the_job_was_in_the_way(stage: Stage) -> None:
    stage.apply(schedule="every 5s", overlap="queue")
    session = stage.connect()
    stage.live_through(11)
    (fence,) = session.leases
    stage.end(session, fence)
    second = stage.rows()[1].id
    assert waited(stage, second) == [("because it was held back (overlap)", 10, 11)]


def test_few_lines_are_looked_at_each_time_and_few_of_a_long_one_are_told(
    stage: Stage,
) -> None:
    lines: list[dict[str, Any]] = [
        {"targets": {"selector": {"n": str(number)}}} for number in range(2 * LINES)
    ]
    for keys in lines:
        stage.submit_ad_hoc(**keys)
    stage.live_through(2)
    told = [one for one in stage.core.live.executions.values() if one.waited_for]
    assert len(told) == LINES
    stage.live_through(1)
    told = [one for one in stage.core.live.executions.values() if one.waited_for]
    assert len(told) == 2 * LINES

    stage.submit_ad_hoc(TOLD + 10, queue="low")
    for _ in range(10):
        stage.wait(1)
    low = [one for one in stage.core.live.executions.values() if one.queue == "low"]
    assert sum(one.waited_for is not None for one in low) == TOLD
