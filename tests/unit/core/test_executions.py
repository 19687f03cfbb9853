from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    ExecutionFinished,
    ExecutionReleased,
    StartRefused,
)
from jobs_grpc.controlplane.core.state.errors import (
    ExecutionNotFoundError,
    JobNotFoundError,
    NotRunningError,
    QueueNotFoundError,
)
from jobs_grpc.controlplane.core.state.inputs import Cancel, Finished, Reports, Starting
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import (
    HOUR,
    MINUTE,
    NAMESPACE,
    NOON,
    SECOND,
    key,
    result,
    spec,
    submission,
    submit,
)
from support.stage import Stage


def cancel(execution_id: str, *, namespace: str = NAMESPACE) -> Cancel:
    return Cancel(namespace=namespace, execution_id=execution_id, reason="by alice")


def cancel_job(name: str = "backup") -> Cancel:
    return Cancel(namespace=NAMESPACE, job=key(name), reason="by alice")


# Submitting.


def test_a_submission_is_answered_with_ids_in_its_order(stage: Stage) -> None:
    stage.apply()
    ids = stage.submit(submission(id_="b"), submission(id_="a"), submission(id_="c"))
    assert ids == ["b", "a", "c"]
    assert [row.id for row in stage.rows()] == ids
    assert len(stage.core.live.executions) == 3


def test_an_execution_is_pinned_to_the_revision_it_began_with(stage: Stage) -> None:
    stage.apply(command="first")
    (id_,) = stage.submit()
    stage.apply(command="second")
    stage.connect()
    assert stage.leases()[-1].work.line == "first"
    assert stage.row(id_).revision == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (submission("nobody"), JobNotFoundError),
        (submission(spec=spec(queue="nowhere")), QueueNotFoundError),
    ],
)
def test_submissions_are_accepted_all_or_none(
    stage: Stage, wrong: Any, error: type[Exception]
) -> None:
    stage.apply()
    with pytest.raises(error):
        stage.ask(submit(submission(), wrong))
    assert stage.rows() == []
    assert not stage.core.waiting


def test_an_ad_hoc_execution_carries_its_document_and_belongs_to_no_job(
    stage: Stage,
) -> None:
    (id_,) = stage.submit_ad_hoc(command="echo hi")
    row = stage.row(id_)
    assert (row.job, row.job_id, row.revision) == ("ad-hoc", 0, 0)
    assert row.document_json is not None
    session = stage.connect()
    stage.end(session, stage.leases()[-1].fence)
    assert stage.row(id_).state == "succeeded"


def test_a_repeated_request_id_returns_the_first_execution(stage: Stage) -> None:
    stage.apply()
    first = stage.submit(submission(request_id="r1"))
    again = stage.submit(submission(request_id="r1"), submission(request_id="r2"))
    assert again[0] == first[0]
    assert len(stage.rows()) == 2


def test_a_request_id_repeated_within_one_request_counts_once(stage: Stage) -> None:
    stage.apply()
    one, two = stage.submit(submission(request_id="r"), submission(request_id="r"))
    assert one == two
    assert len(stage.rows()) == 1


def test_a_request_id_is_known_while_its_execution_lives_even_after_a_restart(
    stage: Stage,
) -> None:
    stage.apply()
    first = stage.submit(submission(request_id="r1"))
    stage.restart()
    assert stage.submit(submission(request_id="r1")) == first


def test_namespaces_do_not_share_request_ids(stage: Stage) -> None:
    one = submission(spec=spec(), request_id="r")
    other = submission(spec=spec(namespace="ops"), request_id="r")
    first = stage.ask(submit(one))
    second = stage.ask(submit(other, namespace="ops"))
    assert first != second


def test_request_ids_of_the_last_hundred_thousand_are_remembered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_grpc.controlplane.core.core._REQUESTS_KEPT", 3)
    stage.apply()
    for number in range(5):
        stage.submit(submission(request_id=f"r{number}"))
    assert [one for _, one in stage.core.live.requests] == ["r2", "r3", "r4"]


def test_a_later_instant_is_waited_for(stage: Stage) -> None:
    stage.apply()
    session = stage.connect()
    (id_,) = stage.submit(submission(not_before=NOON + HOUR))
    assert stage.row(id_).state == "scheduled"
    assert not session.leases
    stage.live_through(3_599)
    assert stage.row(id_).state == "scheduled"
    stage.connect()
    stage.wait(1)
    assert stage.row(id_).phase == "leased"
    assert stage.row(id_).scheduled_for == NOON + HOUR


def test_an_instant_that_has_passed_is_now(stage: Stage) -> None:
    stage.apply()
    (id_,) = stage.submit(submission(not_before=NOON - HOUR))
    assert stage.row(id_).state == "pending"
    assert stage.row(id_).scheduled_for == NOON


def test_the_core_wakes_for_the_earliest_later_instant(stage: Stage) -> None:
    stage.apply()
    for minutes in (30, 10, 20):
        stage.submit(submission(not_before=NOON + minutes * MINUTE))
    assert stage.wake_at == NOON + 10 * MINUTE


def test_placeholders_are_filled_when_the_lease_is_made(stage: Stage) -> None:
    greeting = spec(
        name="greet",
        command=["{{job_name}}", "{{ who }}"],
        stdin="{{namespace}} {{workspace_name}}",
        environment={"COUNT": "{{count}}"},
        params={"who": "nobody", "count": 1},
    )
    stage.submit(submission(spec=greeting, params={"who": "alice", "count": 2}))
    stage.connect()
    work = stage.leases()[-1].work
    assert work.argv == ("greet", "alice")
    assert work.stdin == "default _standalone_"
    assert work.environment == {"COUNT": "2"}


def test_variables_of_the_workspace_yield_to_params_and_to_what_is_built_in(
    stage: Stage,
) -> None:
    made = spec(
        workspace="shop",
        variables={"who": "nobody", "where": "here"},
        command=["{{who}}", "{{where}}", "{{job_name}}"],
        params={"who": "x"},
    )
    stage.submit(submission(spec=made, params={"who": "alice"}))
    stage.connect()
    assert stage.leases()[-1].work.argv == ("alice", "here", "backup")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a b", "a b"), (True, "true"), (5, "5"), (0.5, "0.5"), (["ä"], '["ä"]')],
)
def test_what_is_no_text_stands_as_json_in_placeholders(
    stage: Stage, value: object, text: str
) -> None:
    made = spec(command=["{{x}}"], params={"x": ""})
    stage.submit(submission(spec=made, params={"x": value}))
    stage.connect()
    assert stage.leases()[-1].work.argv == (text,)


def test_values_are_put_in_once_and_other_braces_are_left_alone(stage: Stage) -> None:
    made = spec(command=["{{a}} {{ b }} {{.C}}"], params={"a": "", "b": ""})
    stage.submit(submission(spec=made, params={"a": "{{b}}", "b": "2"}))
    stage.connect()
    assert stage.leases()[-1].work.argv == ("{{b}} 2 {{.C}}",)


def test_a_placeholder_without_a_value_fails_the_execution_before_it_is_leased(
    stage: Stage,
) -> None:
    stage.apply(command=["echo", "{{nobody}}"])
    (id_,) = stage.submit()
    session = stage.connect()
    row = stage.row(id_)
    assert (row.state, row.attempt) == ("failed", 0)
    assert "{{nobody}}" in row.error
    assert not session.leases
    assert stage.leases() == []
    assert stage.statistics().failure_count == 1


# Cancelling.


def test_what_waits_is_cancelled_at_once(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    assert stage.ask(cancel(id_)) == (id_,)
    row = stage.row(id_)
    assert (row.state, row.error, row.finished_at) == ("cancelled", "by alice", NOON)
    stage.connect()
    assert stage.leases() == []


def test_what_waits_for_its_instant_is_cancelled_at_once(stage: Stage) -> None:
    stage.apply()
    (id_,) = stage.submit(submission(not_before=NOON + HOUR))
    stage.ask(cancel(id_))
    stage.live_through(3_601)
    assert stage.row(id_).state == "cancelled"


def test_what_may_run_is_asked_to_end_and_its_end_is_awaited(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.ask(cancel(id_))
    assert stage.row(id_).state == "cancelling"
    assert stage.said(CancelWanted) == [CancelWanted(session.id, fence, "by alice")]
    stage.end(session, fence, Move.CANCEL)
    row = stage.row(id_)
    assert (row.state, row.error) == ("cancelled", "by alice")


def test_a_run_that_ended_by_itself_before_the_signal_keeps_its_own_end(
    stage: Stage,
) -> None:
    (id_,) = stage.submit_ad_hoc()
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.ask(cancel(id_))
    stage.end(session, fence, Move.SUCCEED)
    assert stage.row(id_).state == "succeeded"


def test_a_second_cancel_asks_no_more(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    stage.connect()
    stage.ask(cancel(id_))
    step = stage.step(cancel(id_))
    assert step.replies == ((id_,),)
    assert not step.changes
    assert len(stage.said(CancelWanted)) == 1


def test_an_attempt_is_refused_its_start_after_a_cancel_and_is_cancelled(
    stage: Stage,
) -> None:
    (id_,) = stage.submit_ad_hoc()
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.ask(cancel(id_))
    stage.start(session, fence)
    assert stage.said(StartRefused) == [StartRefused(session.id, fence)]
    row = stage.row(id_)
    assert (row.state, row.started_at, row.error) == ("cancelled", None, "by alice")
    assert session.free_slots == 1


def test_a_cancel_of_a_job_ends_all_its_executions_and_no_others(
    stage: Stage,
) -> None:
    stage.apply()
    stage.apply(name="other")
    mine = stage.submit(submission(), submission(), submission(not_before=NOON + HOUR))
    (other,) = stage.submit(submission("other"))
    stage.connect()
    assert stage.ask(cancel_job()) == tuple(mine)
    states = [stage.row(id_).state for id_ in mine]
    assert states == ["cancelling", "cancelled", "cancelled"]
    assert stage.row(other).state == "pending"


def test_nothing_to_cancel_is_said(stage: Stage) -> None:
    stage.apply()
    with pytest.raises(NotRunningError, match="is not running") as refused:
        stage.ask(cancel_job())
    assert "execution list --job backup" in refused.value.hint
    (id_,) = stage.submit()
    stage.ask(cancel(id_))
    with pytest.raises(NotRunningError, match="has ended") as refused:
        stage.ask(cancel(id_))
    assert f"execution get {id_}" in refused.value.hint
    with pytest.raises(JobNotFoundError):
        stage.ask(cancel_job("nobody"))


def test_another_namespace_can_cancel_nothing_here(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    with pytest.raises(ExecutionNotFoundError):
        stage.ask(cancel(id_, namespace="ops"))
    assert stage.row(id_).state == "pending"


# Ends.


@pytest.mark.parametrize(
    ("move", "fields", "state", "error"),
    [
        (Move.SUCCEED, {}, "succeeded", ""),
        (Move.FAIL, {"exit_code": 3}, "failed", "Command failed: exit status 3"),
        (
            Move.FAIL,
            {"exit_code": None, "signal": "SEGV"},
            "failed",
            "ended by signal SEGV",
        ),
        (Move.FAIL, {"error": "no such file"}, "failed", "no such file"),
        (Move.TIME_OUT, {}, "timed_out", "timed out after 90s"),
        (Move.CANCEL, {}, "cancelled", "cancelled"),
    ],
)
def test_an_end_is_recorded_and_explained(
    stage: Stage, move: Move, fields: dict[str, Any], state: str, error: str
) -> None:
    (id_,) = stage.submit_ad_hoc(timeout="90s")
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.end(session, fence, move, output_bytes=7, **fields)
    row = stage.row(id_)
    assert (row.state, row.error, row.output_bytes) == (state, error, 7)
    assert row.finished_at == NOON
    assert row.started_at == NOON
    (finished,) = stage.said(ExecutionFinished)
    assert (finished.execution.id, finished.state.value) == (id_, state)


def test_an_end_may_come_with_the_start(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.end(session, fence, started_at=NOON - SECOND)
    row = stage.row(id_)
    assert (row.state, row.started_at) == ("succeeded", NOON - SECOND)


def test_a_start_and_an_end_in_one_batch_are_one_row_written(stage: Stage) -> None:
    stage.submit_ad_hoc()
    session = stage.connect()
    fence = stage.leases()[-1].fence
    changes = stage.step(
        Reports(session.id, (Starting(fence), Finished(fence, result())))
    ).changes
    assert (len(changes.moved), len(changes.ended)) == (0, 1)


def test_what_was_never_begun_waits_again(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    session = stage.connect()
    first = stage.leases()[-1]
    stage.end(session, first.fence, Move.CANCEL, never_began=True)
    second = stage.leases()[-1]
    assert second.execution.id == id_
    assert second.fence > first.fence
    assert second.attempt == first.attempt + 1
    assert len(stage.said(ExecutionReleased)) == 1


def test_a_run_whose_end_its_worker_does_not_know_is_lost_or_runs_again(
    stage: Stage,
) -> None:
    (once,) = stage.submit_ad_hoc()
    (again,) = stage.submit_ad_hoc(idempotent=True)
    session = stage.connect(slots=2)
    for lease in stage.leases():
        stage.start(session, lease.fence)
        stage.end(session, lease.fence, Move.LOSE, error="the keeper is gone")
    assert stage.row(once).state == "lost"
    assert stage.row(once).error == "the keeper is gone"
    assert (stage.row(again).state, stage.row(again).attempt) == ("pending", 2)


# Counters.


def test_the_counters_of_a_job_follow_its_ends(stage: Stage) -> None:
    stage.apply()
    session = stage.connect()
    for number, move in enumerate(
        (Move.SUCCEED, Move.FAIL, Move.TIME_OUT, Move.CANCEL), start=1
    ):
        stage.submit()
        stage.end(
            session,
            stage.leases()[-1].fence,
            move,
            at=NOON + number * SECOND,
            error="x",
        )
    row = stage.statistics()
    assert (row.run_count, row.success_count, row.failure_count) == (4, 1, 2)
    assert row.last_run_at == NOON + 4 * SECOND
    assert row.last_success_at == NOON + SECOND
    assert row.last_failure_at == NOON + 3 * SECOND
    assert row.last_state == "cancelled"


def test_a_success_clears_the_last_error(stage: Stage) -> None:
    stage.apply()
    session = stage.connect()
    stage.submit()
    stage.end(session, stage.leases()[-1].fence, Move.FAIL)
    assert stage.statistics().last_error == "Command failed: exit status 1"
    stage.submit()
    stage.end(session, stage.leases()[-1].fence)
    assert stage.statistics().last_error == ""


def test_counters_outlive_restarts_and_new_revisions(stage: Stage) -> None:
    stage.apply()
    session = stage.connect()
    stage.submit()
    stage.end(session, stage.leases()[-1].fence)
    stage.apply(command="other")
    stage.restart()
    assert stage.job().run_count == 1
    session = stage.connect()
    stage.submit()
    stage.end(session, stage.leases()[-1].fence)
    assert stage.statistics().run_count == 2


def test_a_queue_counts_what_completed_and_what_failed(stage: Stage) -> None:
    stage.connect(slots=9)
    for _ in range(3):
        stage.submit_ad_hoc()
    session = stage.connect(slots=9)
    moves = (Move.SUCCEED, Move.FAIL, Move.TIME_OUT)
    for move, lease in zip(moves, stage.leases()[-3:], strict=False):
        stage.end(session, lease.fence, move)
    assert stage.queue() == (1, 2)


def test_a_cancelled_execution_is_no_failure_of_its_queue(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    stage.ask(cancel(id_))
    assert stage.queue() == (0, 0)


def test_what_its_worker_ends_unasked_runs_again_only_if_it_may(stage: Stage) -> None:
    session = stage.connect(slots=2)
    twice, once = (
        stage.submit_ad_hoc(1, idempotent=idempotent)[0] for idempotent in (True, False)
    )
    for fence in tuple(session.leases):
        stage.start(session, fence)
    stage.cut(session)
    stage.connect("w2")
    for fence in tuple(session.leases):
        stage.end(session, fence, Move.CANCEL, error="the worker is stopping")
    assert stage.row(once).state == "cancelled"
    # It has cost the job nothing.
    row = stage.row(twice)
    assert (row.state, row.attempt) == ("pending", 2)
    (released,) = stage.story(twice, "released")
    assert released["reason"] == "worker w1 has ended it: the worker is stopping"
