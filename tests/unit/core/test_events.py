"""Schedules that are due when another job's execution ends."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.inputs import (
    DeleteJob,
    Finished,
    Held,
    PutSchedule,
    SetScheduleEnabled,
)
from jobs_grpc.controlplane.core.state.job import event_execution_id
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.leader.schedule_entries import made
from support.jobs import (
    HOUR,
    SECOND,
    apply,
    document,
    key,
    result,
    spec,
    submission,
)
from support.stage import Stage


def on(job: str, event: str = "job.succeeded", **more: Any) -> dict[str, Any]:
    return {"on": {"event": event, "job": job}, **more}


def run(stage: Stage, name: str, move: Move = Move.SUCCEED) -> str:
    """Run a job by hand to its end; return the execution's id."""
    (id_,) = stage.submit(submission(name))
    execution = stage.core.live.executions[id_]
    if not execution.is_leased:
        stage.connect(f"w{stage.streams}", slots=1)
    session = stage.core.live.sessions[execution.session_id]
    stage.end(session, execution.fence, move)
    return id_


def of(stage: Stage, name: str) -> list[Any]:
    return [row for row in stage.rows() if row.job == name]


@pytest.fixture
def pair(stage: Stage) -> Stage:
    stage.apply(name="load")
    stage.apply(name="report", schedule=on("load"), overlap="allow")
    return stage


def test_an_end_and_what_it_causes_are_rows_of_one_commit(pair: Stage) -> None:
    (cause,) = pair.submit(submission("load"))
    session = pair.connect(slots=1)
    (fence,) = session.leases
    changes = pair.end(session, fence).changes
    (created,) = changes.created
    (ended,) = changes.ended
    (decision,) = changes.decisions
    assert ended.state == "succeeded"
    assert created.job == "report"
    assert created.id == decision.execution_id
    assert created.id == event_execution_id(decision.schedule_id, cause)
    assert (created.trigger, created.requested_by) == ("event", f"event:{cause}")
    assert created.scheduled_for == pair.now
    # The slot that became free has it already.
    assert created.phase == "leased"


@pytest.mark.parametrize(
    ("event", "moves"),
    [
        ("job.succeeded", {Move.SUCCEED}),
        ("job.failed", {Move.FAIL, Move.TIME_OUT}),
        ("job.finished", {Move.SUCCEED, Move.FAIL, Move.TIME_OUT, Move.CANCEL}),
    ],
)
@pytest.mark.parametrize("move", [Move.SUCCEED, Move.FAIL, Move.TIME_OUT, Move.CANCEL])
def test_each_event_is_what_it_says(
    stage: Stage, event: str, moves: set[Move], move: Move
) -> None:
    stage.apply(name="load")
    stage.apply(name="report", schedule=on("load", event))
    run(stage, "load", move)
    assert len(of(stage, "report")) == (move in moves)


def test_every_end_causes_one_though_several_come_in_one_instant(pair: Stage) -> None:
    pair.submit(submission("load"), submission("load"), submission("load"))
    session = pair.connect(slots=3)
    for fence in tuple(session.leases):
        pair.end(session, fence)
    assert len(of(pair, "report")) == 3
    assert len({row.due_at for row in pair.decisions("report")}) == 3


def test_two_schedules_of_a_job_that_hear_one_end_both_start(stage: Stage) -> None:
    stage.apply(name="load")
    both = [on("load", name="a"), on("load", "job.finished", name="b")]
    stage.apply(name="report", schedule=both, overlap="allow")
    run(stage, "load")
    assert len(of(stage, "report")) == 2


def test_chains_go_on(pair: Stage) -> None:
    pair.apply(name="mail", schedule=on("report", "job.finished"))
    run(pair, "load")
    session = pair.connect("more", slots=4)
    for lease in pair.leases()[1:]:
        if lease.fence in pair.core.live.by_fence:
            holder = pair.core.live.sessions[lease.session_id]
            pair.end(holder, lease.fence)
    del session
    assert len(of(pair, "mail")) == 1


def test_what_is_switched_off_or_in_the_way_is_recorded(stage: Stage) -> None:
    stage.apply(name="load")
    stage.apply(name="report", schedule=on("load", name="after"))
    stage.ask(SetScheduleEnabled(key("report"), "after", enabled=False))
    run(stage, "load")
    stage.ask(SetScheduleEnabled(key("report"), "after", enabled=True))
    stage.now += SECOND
    stage.submit(submission("report", not_before=None))
    run_load = stage.submit(submission("load"))
    session = stage.connect("late", slots=9)
    fences = {
        one.fence: one.job_id for one in session.leases.values() if one.id in run_load
    }
    for fence in fences:
        stage.end(session, fence)
    reasons = [(row.outcome, row.reason) for row in stage.decisions("report")]
    assert reasons == [("skipped", "disabled"), ("skipped", "overlap")]


def test_it_hears_in_the_next_term_too(pair: Stage) -> None:
    pair.restart(after=HOUR / SECOND)
    assert of(pair, "report") == []
    run(pair, "load")
    assert len(of(pair, "report")) == 1
    pair.restart()
    assert len(of(pair, "report")) == 1


def test_a_lost_end_is_a_failure_and_its_resolution_a_success(stage: Stage) -> None:
    stage.apply(name="load", delivery="at_most_once")
    for event in ("succeeded", "failed", "finished"):
        stage.apply(name=f"on-{event}", schedule=on("load", f"job.{event}"))
    stage.submit(submission("load"))
    session = stage.connect(slots=1)
    (fence,) = session.leases
    stage.start(session, fence)
    stage.cut(session)
    stage.live_through(300)
    assert stage.rows("load")[0].state == "lost"
    counts = {name: len(of(stage, f"on-{name}")) for name in ("succeeded", "failed")}
    assert counts == {"succeeded": 0, "failed": 1}
    back = stage.connect(slots=0, held=[Held(fence=fence, phase="finished")])
    stage.report(back, Finished(fence, result(Move.SUCCEED, at=stage.now)))
    assert stage.rows("load")[0].state == "succeeded"
    assert [
        len(of(stage, f"on-{name}")) for name in ("succeeded", "failed", "finished")
    ] == [1, 1, 1]


def test_one_that_is_gone_hears_nothing(pair: Stage) -> None:
    pair.apply(name="report")
    run(pair, "load")
    pair.apply(name="report", schedule=on("load"))
    pair.ask(DeleteJob(key("report")))
    run(pair, "load")
    assert of(pair, "report") == []


def test_a_job_that_is_not_there_yet_can_be_waited_for(stage: Stage) -> None:
    stage.apply(name="report", schedule=on("load"))
    stage.apply(name="load")
    run(stage, "load")
    assert len(of(stage, "report")) == 1


@pytest.mark.parametrize(
    ("jobs", "circle"),
    [
        ({"a": "a"}, "a -> a"),
        ({"a": "b", "b": "a"}, "-> "),
        ({"a": "b", "b": "c", "c": "a"}, "-> "),
    ],
)
def test_circles_in_one_request_are_refused_with_the_way(
    stage: Stage, jobs: dict[str, str], circle: str
) -> None:
    specs = [spec(name=name, schedule=on(cause)) for name, cause in jobs.items()]
    with pytest.raises(InvalidError, match=f"circle: .*{circle}"):
        stage.ask(apply(*specs))
    assert not stage.core.live.jobs


def test_circles_across_stored_jobs_are_refused_with_the_way(stage: Stage) -> None:
    stage.apply(name="a")
    stage.apply(name="b", schedule=on("a"))
    stage.apply(name="c", schedule=on("b", "job.finished"))
    with pytest.raises(InvalidError, match="circle: a -> b -> c -> a"):
        stage.apply(name="a", schedule=on("c"))
    one, text = made(document(name="a"), "back", on("c"))
    with pytest.raises(InvalidError, match="circle: a -> b -> c -> a"):
        stage.ask(PutSchedule(key("a"), one, text, 0))
    # What takes the circle apart in the same request may stand.
    stage.ask(apply(spec(name="a", schedule=on("c")), spec(name="b")))
    assert stage.job("a").schedules


def test_a_long_way_is_told_by_its_ends(stage: Stage) -> None:
    stage.apply(name="j0")
    for number in range(1, 100):
        stage.apply(name=f"j{number}", schedule=on(f"j{number - 1}"))
    with pytest.raises(InvalidError, match=r"circle: j0 -> j1 .*more\) .*j99 -> j0$"):
        stage.apply(name="j0", schedule=on("j99"))
