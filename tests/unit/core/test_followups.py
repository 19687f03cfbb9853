"""What follows an execution that failed for good."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.rows.story import DeadLetterRow, LinkRow
from jobs_grpc.controlplane.core.state.errors import (
    NotRetryableError,
    QueueNotFoundError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    Cancel,
    Held,
    PurgeDeadLetters,
    RunAgain,
)
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.leader.specs import spec_from_json
from jobs_grpc.controlplane.storage.store import DeadLetterFilter
from support.jobs import NAMESPACE, SECOND, spec, submission
from support.stage import Stage, finish

ONCE = {"delays": [0]}


def letters(stage: Stage) -> list[DeadLetterRow]:
    return list(finish(stage.store.dead_letters(DeadLetterFilter(NAMESPACE), 100)))


def links(stage: Stage, id_: str) -> list[LinkRow]:
    return list(finish(stage.store.links(stage.row(id_).seq)))


def fail(stage: Stage, move: Move = Move.FAIL, **fields: Any) -> None:
    """End the latest attempt, and step until its retry is leased."""
    lease = stage.leases()[-1]
    session = stage.core.live.sessions[lease.session_id]
    stage.end(session, lease.fence, move, **fields)
    stage.step()


def again(stage: Stage, id_: str, **fields: Any) -> RunAgain:
    row = stage.row(id_)
    record = {
        "id": f"again-{len(stage.rows())}",
        "kind": "retry",
        "origin_seq": row.seq,
        "origin_id": row.id,
        "spec": spec_from_json(row.document_json or spec().document_json),
        "is_of_job": row.job_id != 0,
        "params": {},
        "requested_by": "alice",
    }
    return RunAgain(**{**record, **fields})


# Dead letters.


def test_a_job_that_used_up_its_retries_is_a_dead_letter(stage: Stage) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc(retry=ONCE)
    fail(stage)
    assert letters(stage) == []
    stage.now += SECOND
    fail(stage, exit_code=3)
    row = stage.row(id_)
    assert letters(stage) == [
        DeadLetterRow(
            row.seq,
            id_,
            *spec(name="ad-hoc").key,
            stage.now,
            "failed",
            "retries exhausted",
            "Command failed: exit status 3",
            2,
        )
    ]
    assert stage.story(id_)[-1]["kind"] == "dead_lettered"


def test_what_its_policy_does_not_cover_is_a_dead_letter_at_once(stage: Stage) -> None:
    stage.connect()
    stage.submit_ad_hoc(retry={"exit_codes": [75]})
    fail(stage, exit_code=1)
    (letter,) = letters(stage)
    assert (letter.reason, letter.attempts) == ("not to be retried", 1)


def test_what_was_lost_too_often_is_a_dead_letter(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    while stage.row(id_).state != "lost":
        stage.end(session, stage.leases()[-1].fence, Move.LOSE, error="gone")
        stage.now += 60 * SECOND
        session.last_seen = stage.now
        stage.step()
    (letter,) = letters(stage)
    assert (letter.reason, letter.state) == ("lost too often", "lost")


@pytest.mark.parametrize("keys", [{}, {"idempotent": True}])
def test_without_retries_a_failure_is_just_a_failure(
    stage: Stage, keys: dict[str, Any]
) -> None:
    stage.connect()
    stage.submit_ad_hoc(**keys)
    fail(stage)
    assert letters(stage) == []


def test_what_was_cancelled_is_no_dead_letter(stage: Stage) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc(retry=ONCE, fallback={"function": "f"})
    stage.step(Cancel(namespace=NAMESPACE, execution_id=id_, reason="by alice"))
    fail(stage)
    assert letters(stage) == []
    assert links(stage, id_) == []


def test_a_lost_execution_that_turns_out_well_is_no_dead_letter_any_more(
    stage: Stage,
) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(retry={"on": ["exit_code"]})
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.cut(session)
    stage.live_through(60)
    assert [letter.state for letter in letters(stage)] == ["lost"]
    back = stage.connect(held=[Held(fence=fence, phase="finished")])
    stage.end(back, fence)
    assert stage.row(id_).state == "succeeded"
    assert letters(stage) == []


def test_dead_letters_are_purged_and_their_records_stay(stage: Stage) -> None:
    stage.connect()
    for _ in range(2):
        stage.submit_ad_hoc(retry={"exit_codes": [75]})
        fail(stage)
    newest, oldest = letters(stage)
    stage.step(PurgeDeadLetters((oldest.seq, 77)))
    assert letters(stage) == [newest]
    assert stage.row(oldest.execution_id).state == "failed"


# Running again.


def test_a_retry_by_hand_is_a_new_execution_linked_to_the_old(stage: Stage) -> None:
    stage.apply(params={"size": 1})
    stage.connect()
    (id_,) = stage.submit(submission(params={"size": 7}))
    fail(stage)
    made = stage.ask(again(stage, id_, params={"size": 7}))
    row = stage.row(made)
    assert (row.trigger, row.requested_by, row.params_json) == (
        "retry",
        "alice",
        '{"size": 7}',
    )
    assert (row.job_id, row.attempt) == (stage.job().job_id, 1)
    link = LinkRow(row.seq, made, "retry", stage.row(id_).seq, id_)
    assert links(stage, id_) == links(stage, made) == [link]
    assert stage.row(id_).state == "failed"


def test_a_retry_is_of_the_job_as_it_is_now(stage: Stage) -> None:
    stage.apply(command="broken")
    stage.connect()
    (id_,) = stage.submit()
    fail(stage)
    stage.apply(command="mended", params={"new": "x"})
    made = stage.ask(again(stage, id_))
    assert stage.leases()[-1].work.line == "mended"
    assert stage.row(made).revision == 2
    assert stage.row(made).params_json == '{"new": "x"}'


def test_a_retry_of_a_deleted_job_runs_what_it_was(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc(command="old")
    stage.connect()
    fail(stage)
    made = stage.ask(again(stage, id_))
    assert stage.leases()[-1].work.line == "old"
    assert stage.row(made).job_id == 0


def test_what_has_not_ended_is_not_run_again(stage: Stage) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc()
    with pytest.raises(NotRetryableError, match="has not ended"):
        stage.ask(again(stage, id_))
    assert len(stage.rows()) == 1


def test_a_queue_that_is_gone_refuses(stage: Stage) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc()
    fail(stage)
    with pytest.raises(QueueNotFoundError):
        stage.ask(again(stage, id_, spec=spec(queue="nowhere")))


def test_a_requeue_takes_the_mark_off_and_happens_once(stage: Stage) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc(retry={"exit_codes": [75]})
    fail(stage)
    one = again(stage, id_, kind="requeue", request_id=f"requeue:{id_}", id="x")
    other = again(stage, id_, kind="requeue", request_id=f"requeue:{id_}", id="y")
    assert stage.step(one, other).replies == ("x", "x")
    assert letters(stage) == []
    assert [link.kind for link in links(stage, id_)] == ["requeue"]
    fail(stage)
    assert [letter.execution_id for letter in letters(stage)] == ["x"]


# Fallbacks.


def test_a_fallback_job_runs_once_after_the_last_failure(stage: Stage) -> None:
    stage.apply(name="second", command="second", params={"size": 1, "more": "m"})
    stage.apply(retry=ONCE, fallback={"job": "second"}, params={"size": 5, "own": "o"})
    stage.connect()
    (id_,) = stage.submit(submission(params={"size": 7, "own": "o"}))
    fail(stage)
    assert links(stage, id_) == []
    fail(stage)
    (link,) = links(stage, id_)
    assert (link.kind, link.origin_id) == ("fallback", id_)
    row = stage.row(link.id)
    assert (row.job, row.trigger, row.requested_by) == (
        "second",
        "fallback",
        f"execution:{id_}",
    )
    assert row.params_json == '{"size": 7, "more": "m"}'
    assert stage.leases()[-1].work.line == "second"
    fail(stage, Move.SUCCEED)
    assert stage.row(link.id).state == "succeeded"
    assert stage.row(id_).state == "failed"
    assert stage.story(id_, "fallback_started")[0]["id"] == link.id


def test_a_fallback_function_runs_where_the_job_may(stage: Stage) -> None:
    stage.connect(functions=("rescue",), labels={"role": "db"})
    (id_,) = stage.submit_ad_hoc(
        fallback={"function": "rescue"},
        targets={"selector": {"role": "db"}},
        params={"size": 5},
        timeout="7s",
        schedule="@daily",
    )
    fail(stage, Move.TIME_OUT)
    (link,) = links(stage, id_)
    row = stage.row(link.id)
    assert (row.job, row.type, row.job_id) == ("ad-hoc", "function", 0)
    lease = stage.leases()[-1]
    assert lease.work.function == "rescue"
    made = lease.execution.spec
    assert (made.timeout, made.selector) == (7 * SECOND, {"role": "db"})
    assert (made.schedules, made.retry, made.fallback) == ((), None, None)
    # The next term reads it from its own document.
    stage.restart()
    assert stage.core.live.executions[link.id].spec == made


def test_a_fallback_has_no_fallback(stage: Stage) -> None:
    stage.apply(name="a", fallback={"job": "b"})
    stage.apply(name="b", fallback={"job": "a"})
    stage.connect()
    stage.submit(submission("a"))
    fail(stage)
    fail(stage)
    assert [row.job for row in stage.rows()] == ["a", "b"]


def test_a_fallback_that_is_not_there_is_told(stage: Stage) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc(fallback={"job": "nobody"})
    fail(stage)
    assert stage.row(id_).state == "failed"
    (event,) = stage.story(id_)
    assert event["kind"] == "fallback_failed"
    assert event["reason"] == 'the job "nobody" does not exist'


def test_a_lost_run_that_must_not_run_twice_has_no_fallback(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(fallback={"function": "f"})
    stage.start(session, stage.leases()[-1].fence)
    stage.cut(session)
    stage.live_through(60)
    assert stage.row(id_).state == "lost"
    assert links(stage, id_) == []
