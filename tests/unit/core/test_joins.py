"""Jobs that run once all of the jobs they depend on have succeeded."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.schedules.joins import waits_for
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.inputs import (
    BeginPause,
    DeleteJob,
    Finished,
    Held,
    Reports,
    SetJobEnabled,
    SetScheduleEnabled,
)
from jobs_grpc.controlplane.core.state.job import event_execution_id, schedule_id
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, PauseKind, Scope
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import (
    HOUR,
    SECOND,
    apply,
    key,
    result,
    spec,
    submission,
)
from support.stage import Stage


def run(stage: Stage, name: str, move: Move = Move.SUCCEED) -> str:
    """Run a job by hand to its end; return the execution's id."""
    (id_,) = stage.submit(submission(name))
    end(stage, id_, move)
    return id_


def end(stage: Stage, id_: str, move: Move = Move.SUCCEED) -> Any:
    execution = stage.core.live.executions[id_]
    if not execution.is_leased:
        stage.connect(f"w{stage.streams}", slots=9)
    session = stage.core.live.sessions[execution.session_id]
    return stage.end(session, execution.fence, move).changes


def count(stage: Stage, name: str) -> int:
    return sum(1 for row in stage.rows() if row.job == name)


def waits(stage: Stage, name: str) -> tuple[str, ...]:
    (schedule,) = (
        one
        for one in stage.job(name).schedules.values()
        if one.spec.name == "depends_on"
    )
    return waits_for(schedule)


@pytest.fixture
def join(stage: Stage) -> Stage:
    stage.apply(name="b")
    stage.apply(name="c")
    stage.apply(name="d", depends_on=["c", "b"], overlap="allow")
    return stage


def test_the_last_end_and_what_it_causes_are_rows_of_one_commit(join: Stage) -> None:
    run(join, "b")
    assert waits(join, "d") == ("c",)
    assert count(join, "d") == 0
    (cause,) = join.submit(submission("c"))
    changes = end(join, cause)
    (created,) = changes.created
    (ended,) = changes.ended
    (decision,) = changes.decisions
    assert ended.state == "succeeded"
    assert created.job == "d"
    own = schedule_id(key("d"), "depends_on")
    assert created.id == decision.execution_id == event_execution_id(own, cause)
    assert (created.trigger, created.requested_by) == ("event", f"event:{cause}")
    assert [row.arrived_json for row in changes.joins] == ["{}"]
    assert waits(join, "d") == ("b", "c")


def test_each_round_needs_all_of_them_again(join: Stage) -> None:
    order = ["b", "b", "c", "c", "c", "b", "b", "c"]
    found = []
    for name in order:
        run(join, name)
        found.append(count(join, "d"))
    assert found == [0, 0, 1, 1, 1, 2, 2, 3]


def test_ends_of_one_instant_join_once(join: Stage) -> None:
    ids = join.submit(submission("b"), submission("c"), submission("b"))
    session = join.connect(slots=3)
    live = join.core.live
    reports = [
        Finished(live.executions[id_].fence, result(Move.SUCCEED, at=join.now))
        for id_ in ids
    ]
    changes = join.step(Reports(session.id, tuple(reports))).changes
    assert [row.job for row in changes.created] == ["d"]
    # The second b is the first of the next round.
    assert waits(join, "d") == ("c",)
    join.restart()
    assert waits(join, "d") == ("c",)


@pytest.mark.parametrize("move", [Move.FAIL, Move.TIME_OUT, Move.CANCEL])
def test_only_successes_count(join: Stage, move: Move) -> None:
    run(join, "b")
    run(join, "c", move)
    assert count(join, "d") == 0
    assert waits(join, "d") == ("c",)


def test_one_dependency_needs_no_memory(stage: Stage) -> None:
    stage.apply(name="a")
    stage.apply(name="b", depends_on="a")
    (cause,) = stage.submit(submission("a"))
    assert end(stage, cause).joins == ()
    assert count(stage, "b") == 1


def test_jobs_without_dependants_write_nothing(join: Stage) -> None:
    join.apply(name="other")
    (id_,) = join.submit(submission("other"))
    assert end(join, id_).joins == ()


def test_half_a_join_survives_a_restart(join: Stage) -> None:
    run(join, "c")
    join.restart(after=HOUR / SECOND)
    assert waits(join, "d") == ("b",)
    run(join, "b")
    assert count(join, "d") == 1
    join.restart()
    run(join, "b")
    assert count(join, "d") == 1


def test_a_diamond_runs_its_end_once(stage: Stage) -> None:
    four = [
        spec(name="d", depends_on=["b", "c"]),
        spec(name="b", depends_on="a"),
        spec(name="c", depends_on=["a"]),
        spec(name="a"),
    ]
    stage.ask(apply(*four))
    run(stage, "a")
    for name in ("c", "b", "d"):
        (row,) = [one for one in stage.rows() if one.job == name]
        end(stage, row.id)
    assert sorted(row.job for row in stage.rows()) == ["a", "b", "c", "d"]


def test_schedules_beside_it_are_independent(stage: Stage) -> None:
    stage.apply(name="a")
    stage.apply(name="b", depends_on="a", schedule="every 1h", overlap="allow")
    stage.live_through(HOUR / SECOND)
    assert [row.trigger for row in stage.rows()] == ["schedule"]
    run(stage, "a")
    assert [row.trigger for row in stage.rows() if row.job == "b"] == [
        "schedule",
        "event",
    ]


def test_a_join_that_may_not_start_is_recorded_and_over(join: Stage) -> None:
    join.ask(SetJobEnabled(key("d"), enabled=False))
    run(join, "b")
    run(join, "c")
    join.ask(SetJobEnabled(key("d"), enabled=True))
    join.ask(SetScheduleEnabled(key("d"), "depends_on", enabled=False))
    run(join, "b")
    run(join, "c")
    join.ask(SetScheduleEnabled(key("d"), "depends_on", enabled=True))
    scope = Scope(PauseKind.JOB, *key("d"))
    join.ask(
        BeginPause(
            id="p",
            scope=scope,
            note="",
            who="alice",
            until=None,
            meanwhile=Meanwhile.ALL,
        )
    )
    run(join, "b")
    run(join, "c")
    assert count(join, "d") == 0
    assert [row.reason for row in join.decisions("d")] == [
        "disabled",
        "disabled",
        "paused",
    ]
    assert waits(join, "d") == ("b", "c")


def test_a_result_that_comes_late_is_a_success(join: Stage) -> None:
    join.apply(name="c", delivery="at_most_once")
    run(join, "b")
    (id_,) = join.submit(submission("c"))
    execution = join.core.live.executions[id_]
    session = join.core.live.sessions[execution.session_id]
    fence = execution.fence
    join.start(session, fence)
    join.cut(session)
    join.live_through(300)
    assert count(join, "d") == 0
    back = join.connect(
        session.worker, slots=0, held=[Held(fence=fence, phase="finished")]
    )
    join.report(back, Finished(fence, result(Move.SUCCEED, at=join.now)))
    assert count(join, "d") == 1


def test_edits_start_nothing_and_forget_who_is_left_out(join: Stage) -> None:
    run(join, "b")
    join.apply(name="d", depends_on=["b"])
    assert count(join, "d") == 0
    join.apply(name="d", depends_on=["b", "c"])
    assert waits(join, "d") == ("c",)
    join.apply(name="d", depends_on=["c"])
    join.apply(name="d", depends_on=["b", "c"])
    assert waits(join, "d") == ("b", "c")
    join.restart()
    assert waits(join, "d") == ("b", "c")


def test_a_dependency_that_is_gone_is_waited_for(join: Stage) -> None:
    run(join, "b")
    join.ask(DeleteJob(key("c")))
    # The document may be applied again as it is, and changed elsewhere.
    join.apply(name="d", depends_on=["b", "c"], description="new")
    assert waits(join, "d") == ("c",)
    join.apply(name="c")
    run(join, "c")
    assert count(join, "d") == 1


def test_a_dependant_that_is_deleted_leaves_nothing(join: Stage) -> None:
    run(join, "b")
    join.ask(DeleteJob(key("d")))
    join.apply(name="d", depends_on=["b", "c"])
    join.restart()
    assert waits(join, "d") == ("b", "c")
    run(join, "c")
    assert count(join, "d") == 0


def test_unknown_names_are_refused_with_the_nearest(join: Stage) -> None:
    join.apply(name="extract")
    with pytest.raises(InvalidError, match=r'"extrat".*did you mean "extract"'):
        join.apply(name="e", depends_on=["b", "extrat"])
    # Of another workspace.
    join.apply(name="f", workspace="shop")
    with pytest.raises(InvalidError, match=r'"f", and its workspace has no such job$'):
        join.apply(name="e", depends_on="f")
    assert key("e") not in join.core.live.jobs


@pytest.mark.parametrize(
    "jobs",
    [
        {"a": {"depends_on": "b"}, "b": {"depends_on": "a"}},
        {
            "a": {"schedule": {"on": {"event": "job.finished", "job": "b"}}},
            "b": {"depends_on": "a"},
        },
    ],
)
def test_circles_in_one_request_are_refused(
    stage: Stage, jobs: dict[str, dict[str, Any]]
) -> None:
    specs = [spec(name=name, **keys) for name, keys in jobs.items()]
    with pytest.raises(InvalidError, match="circle: a -> b -> a"):
        stage.ask(apply(*specs))
    assert not stage.core.live.jobs


def test_circles_across_stored_jobs_are_refused(stage: Stage) -> None:
    stage.apply(name="a")
    stage.apply(name="b", depends_on="a")
    stage.apply(name="c", schedule={"on": {"event": "job.failed", "job": "b"}})
    with pytest.raises(InvalidError, match="circle: a -> b -> c -> a"):
        stage.apply(name="a", depends_on=["c"])
