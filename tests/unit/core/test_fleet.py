from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.fleet.sessions import GRACE, SESSION_TTL
from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    ExecutionFinished,
    LeaseGranted,
    ReportRefused,
    ResultKept,
    SessionClosed,
    SessionDisconnected,
    SessionEnded,
    SessionGone,
    SessionOpened,
    SessionWelcomed,
    StartGranted,
    StartRefused,
)
from jobs_grpc.controlplane.core.state.inputs import (
    Beat,
    Cancel,
    CloseSession,
    Finished,
    Held,
    Reports,
    Started,
    Starting,
    StreamClosed,
)
from jobs_grpc.controlplane.core.state.live import Session
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import HOUR, NAMESPACE, NOON, SECOND, result
from support.stage import Stage, finish

# How long a silent session lives, and a little more.
SILENCE = (SESSION_TTL + GRACE) / SECOND + 2


def cancel(stage: Stage, execution_id: str) -> None:
    stage.ask(Cancel(namespace=NAMESPACE, execution_id=execution_id, reason="by alice"))


def leased(stage: Stage, **keys: Any) -> tuple[str, Session, int]:
    """Return an execution, the session that has it, and its fence."""
    (id_,) = stage.submit_ad_hoc(**keys)
    session = stage.connect()
    return id_, session, stage.leases()[-1].fence


def started(stage: Stage, **keys: Any) -> tuple[str, Session, int]:
    id_, session, fence = leased(stage, **keys)
    stage.start(session, fence)
    return id_, session, fence


def beat_through(stage: Stage, session: Session, seconds: int) -> None:
    for _ in range(seconds // 10):
        stage.live_through(10)
        stage.step(Beat(session.id))


# Leases.


def test_leases_never_exceed_the_slots_of_a_worker(stage: Stage) -> None:
    stage.submit_ad_hoc(10)
    session = stage.connect(slots=3)
    assert len(session.leases) == 3
    stage.end(session, next(iter(session.leases)))
    assert len(session.leases) == 3
    assert len(stage.leases()) == 4


def test_a_lease_is_committed_in_the_step_that_grants_it(stage: Stage) -> None:
    id_, session, fence = leased(stage)
    row = stage.row(id_)
    assert (row.state, row.phase, row.attempt) == ("pending", "leased", 1)
    assert (row.fence, row.worker, row.session_id) == (fence, "w1", session.id)


def test_fences_grow_over_attempts_executions_and_terms(stage: Stage) -> None:
    for _ in range(5):
        stage.submit_ad_hoc(3)
        session = stage.connect(slots=2)
        for fence in tuple(session.leases):
            stage.end(session, fence, Move.CANCEL, never_began=True)
        stage.restart(after=1)
    fences = [lease.fence for lease in stage.leases()]
    assert len(fences) > 10
    assert fences == sorted(set(fences))


def test_a_worker_that_comes_back_with_fewer_slots_gets_nothing_until_it_has_room(
    stage: Stage,
) -> None:
    stage.submit_ad_hoc(5)
    session = stage.connect(slots=3)
    held = [Held(fence=fence, phase="leased") for fence in session.leases]
    session = stage.connect(slots=1, held=held)
    assert len(session.leases) == 3
    assert session.free_slots == -2
    for fence in tuple(session.leases):
        stage.end(session, fence)
    assert len(session.leases) == 1


def test_a_worker_without_a_stream_gets_nothing(stage: Stage) -> None:
    session = stage.connect()
    stage.cut(session)
    stage.submit_ad_hoc()
    assert not session.leases
    assert stage.leases() == []


# Starting.


def test_a_start_is_granted_once_it_is_committed(stage: Stage) -> None:
    id_, session, fence = leased(stage)
    step = stage.start(session, fence)
    assert [row.phase for row in step.changes.moved] == ["started"]
    assert step.messages == (StartGranted(session.id, fence),)
    assert (stage.row(id_).state, stage.row(id_).started_at) == ("running", NOON)


def test_a_repeated_question_gets_the_same_answer_and_writes_nothing(
    stage: Stage,
) -> None:
    _, session, fence = started(stage)
    step = stage.start(session, fence)
    assert not step.changes
    assert step.messages == (StartGranted(session.id, fence),)


def test_an_attempt_that_needs_no_grant_tells_its_start(stage: Stage) -> None:
    id_, session, fence = leased(stage, idempotent=True)
    stage.report(session, Started(fence, NOON + 5))
    assert (stage.row(id_).state, stage.row(id_).started_at) == ("running", NOON + 5)


def test_the_workers_own_instant_of_the_start_is_kept_with_the_end(
    stage: Stage,
) -> None:
    id_, session, fence = started(stage)
    assert not stage.report(session, Started(fence, NOON + 7)).changes
    stage.end(session, fence, at=NOON + SECOND)
    assert stage.row(id_).started_at == NOON + 7


def test_a_superseded_attempt_is_refused_its_start(stage: Stage) -> None:
    _, session, fence = leased(stage)
    stage.end(session, fence, Move.CANCEL, never_began=True)
    stage.start(session, fence)
    assert stage.said(StartRefused) == [StartRefused(session.id, fence)]
    assert stage.said(ReportRefused) == [ReportRefused(session.id, fence, "starting")]


# Results.


def test_a_result_is_acknowledged_with_its_commit(stage: Stage) -> None:
    _, session, fence = started(stage)
    step = stage.end(session, fence)
    assert len(step.changes.ended) == 1
    assert step.messages == (ResultKept(session.id, fence),)


def test_a_repeated_result_is_acknowledged_again_and_counts_once(
    stage: Stage,
) -> None:
    stage.apply()
    stage.submit()
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.end(session, fence)
    step = stage.end(session, fence, Move.FAIL)
    assert step.messages == (ResultKept(session.id, fence),)
    assert not step.changes
    assert stage.statistics().run_count == 1
    assert stage.rows()[0].state == "succeeded"


@pytest.mark.parametrize("report", ["started", "finished"])
def test_a_report_with_a_stale_fence_changes_nothing(stage: Stage, report: str) -> None:
    id_, session, stale = leased(stage)
    stage.end(session, stale, Move.CANCEL, never_began=True)
    step = (
        stage.end(session, stale)
        if report == "finished"
        else stage.report(session, Started(stale, NOON))
    )
    assert step.changes == Changes(events=step.changes.events)
    assert step.facts == (ReportRefused(session.id, stale, report),)
    assert stage.row(id_).phase == "leased"


def test_nobody_can_report_for_another_worker(stage: Stage) -> None:
    id_, _, fence = started(stage)
    other = stage.connect("w2")
    step = stage.end(other, fence)
    assert not step.changes
    assert stage.row(id_).state == "running"


def test_one_bad_report_of_a_batch_leaves_the_others_alone(stage: Stage) -> None:
    ids = stage.submit_ad_hoc(2)
    session = stage.connect(slots=2)
    fences = list(session.leases)
    batch = (
        Starting(fences[0]),
        Finished(12345, result()),
        Started(999, NOON),
        Starting(fences[1]),
    )
    stage.step(Reports(session.id, batch))
    assert [stage.row(id_).state for id_ in ids] == ["running", "running"]


def test_what_is_said_for_a_session_that_has_ended_is_answered_so(
    stage: Stage,
) -> None:
    step = stage.step(Beat("long-gone"), Reports("long-gone", (Starting(1),)))
    assert step.messages == (SessionGone("long-gone"), SessionGone("long-gone"))


# Sessions.


def test_the_welcome_comes_before_anything_else_that_is_said(stage: Stage) -> None:
    stage.submit_ad_hoc(2)
    session = stage.connect(slots=2)
    kinds = [type(message) for message in stage.messages]
    assert kinds == [SessionWelcomed, LeaseGranted, LeaseGranted]
    assert stage.messages[0] == SessionWelcomed(session.id, 1, ())


def test_a_worker_is_remembered_as_it_introduced_itself(stage: Stage) -> None:
    stage.connect("w1", slots=4, labels={"role": "db"}, functions=("b", "a"))
    (row,) = finish(stage.store.workers())
    assert (row.name, row.slots, row.labels_json) == ("w1", 4, '{"role": "db"}')
    assert (row.functions_json, row.connected_at) == ('["a", "b"]', NOON)


def test_a_session_outlives_its_stream(stage: Stage) -> None:
    id_, session, fence = started(stage)
    stage.cut(session)
    assert stage.said(SessionDisconnected) == [SessionDisconnected(session.id, "w1")]
    stage.live_through(29)
    held = [Held(fence=fence, phase="running", started_at=NOON)]
    again = stage.connect(held=held)
    assert again.id == session.id
    assert stage.verdicts() == {fence: "adopt"}
    assert [fact.resumed for fact in stage.said(SessionOpened)] == [False, True]
    assert stage.row(id_).state == "running"


def test_the_end_of_an_old_stream_does_not_close_the_new_one(stage: Stage) -> None:
    _, session, _ = started(stage)
    fence = stage.leases()[-1].fence
    old = stage.streams
    session = stage.connect(held=[Held(fence=fence, phase="running")])
    stage.step(StreamClosed(session.id, old))
    assert session.stream == old + 1
    stage.step(CloseSession(session.id, old))
    assert session.stream == old + 1


def test_a_session_that_beats_lives(stage: Stage) -> None:
    id_, session, _ = started(stage)
    beat_through(stage, session, 300)
    assert stage.core.live.sessions == {session.id: session}
    assert stage.row(id_).state == "running"


def test_reports_are_signs_of_life_too(stage: Stage) -> None:
    _, session, fence = started(stage)
    for _ in range(20):
        stage.live_through(20)
        stage.report(session, Started(fence, NOON))
    assert stage.core.live.sessions == {session.id: session}


def test_a_session_is_not_ended_before_its_time_and_the_grace(stage: Stage) -> None:
    _, session, _ = started(stage)
    stage.live_through((SESSION_TTL + GRACE) / SECOND)
    assert session.id in stage.core.live.sessions


def test_a_silent_session_ends_and_its_leases_are_taken_back(stage: Stage) -> None:
    running = stage.submit_ad_hoc()
    repeatable = stage.submit_ad_hoc(idempotent=True)
    waiting = stage.submit_ad_hoc()
    session = stage.connect(slots=3)
    fences = list(session.leases)
    stage.report(session, Starting(fences[0]), Started(fences[1], NOON))
    stage.live_through(SILENCE)
    assert stage.core.live.sessions == {}
    assert [stage.row(id_).state for id_ in running] == ["lost"]
    assert [stage.row(id_).state for id_ in (*repeatable, *waiting)] == [
        "pending",
        "pending",
    ]
    (ended,) = stage.said(SessionEnded)
    assert (ended.worker, ended.reason, ended.leases) == ("w1", "silence", 3)
    assert "its end is not known" in stage.row(running[0]).error


def test_what_is_taken_back_goes_to_another_worker_with_a_new_fence(
    stage: Stage,
) -> None:
    id_, _, fence = leased(stage)
    stage.live_through(SILENCE)
    stage.connect("w2")
    lease = stage.leases()[-1]
    assert lease.execution.id == id_
    assert (lease.fence > fence, lease.attempt) == (True, 2)
    assert stage.row(id_).worker == "w2"


def test_a_session_that_ended_by_silence_cannot_speak_any_more(stage: Stage) -> None:
    id_, session, fence = leased(stage)
    stage.live_through(SILENCE)
    step = stage.start(session, fence)
    assert step.messages == (SessionGone(session.id),)
    assert stage.row(id_).phase == "none"


def test_a_goodbye_ends_a_session_that_holds_nothing(stage: Stage) -> None:
    session = stage.connect()
    stage.step(CloseSession(session.id, stage.streams))
    assert stage.core.live.sessions == {}
    assert [fact.reason for fact in stage.said(SessionEnded)] == ["goodbye"]


def test_a_goodbye_with_jobs_still_running_leaves_the_session_its_time(
    stage: Stage,
) -> None:
    id_, session, fence = started(stage)
    stage.step(CloseSession(session.id, stage.streams))
    assert stage.row(id_).state == "running"
    stage.live_through(20)
    again = stage.connect(held=[Held(fence=fence, phase="running")])
    assert (again.id, stage.verdicts()) == (session.id, {fence: "adopt"})
    stage.step(CloseSession(session.id, stage.streams))
    stage.live_through(SILENCE)
    assert stage.row(id_).state == "lost"


# Time that jumps.


@pytest.mark.parametrize("jump", [60, 3_600, 86_400])
def test_a_clock_that_jumps_forward_ends_no_session(stage: Stage, jump: int) -> None:
    id_, session, _ = started(stage)
    beat_through(stage, session, 60)
    stage.wait(jump)
    beat_through(stage, session, 60)
    assert session.id in stage.core.live.sessions
    assert stage.row(id_).state == "running"


def test_a_session_that_falls_silent_in_a_jump_of_the_clock_ends_after_its_time(
    stage: Stage,
) -> None:
    _, session, _ = started(stage)
    stage.live_through(5)
    stage.wait(3_600)
    stage.live_through(SILENCE)
    assert stage.core.live.sessions == {}
    assert session.stream is None


def test_a_clock_that_steps_back_does_not_keep_silent_sessions_alive(
    stage: Stage,
) -> None:
    id_, _, _ = started(stage)
    stage.live_through(5)
    stage.wait(-HOUR / SECOND)
    stage.live_through(SILENCE)
    assert stage.core.live.sessions == {}
    assert stage.row(id_).state == "lost"


# What a worker holds when it comes back.


@pytest.mark.parametrize("phase", ["leased", "starting", "running"])
def test_a_lease_that_is_still_held_is_adopted(stage: Stage, phase: str) -> None:
    id_, session, fence = leased(stage)
    stage.cut(session)
    stage.connect(held=[Held(fence=fence, phase=phase, started_at=NOON + 3)])
    assert stage.verdicts() == {fence: "adopt"}
    assert stage.row(id_).fence == fence
    assert len(stage.leases()) == 1


def test_a_running_attempt_whose_start_was_not_heard_of_is_running(
    stage: Stage,
) -> None:
    id_, session, fence = leased(stage, idempotent=True)
    stage.cut(session)
    stage.connect(held=[Held(fence=fence, phase="running", started_at=NOON + 3)])
    assert (stage.row(id_).state, stage.row(id_).started_at) == ("running", NOON + 3)


def test_a_question_that_was_lost_with_the_stream_is_answered(stage: Stage) -> None:
    id_, session, fence = leased(stage)
    stage.cut(session)
    stage.connect(held=[Held(fence=fence, phase="starting")])
    assert stage.said(StartGranted) == [StartGranted(session.id, fence)]
    assert stage.row(id_).phase == "started"


def test_a_grant_that_was_lost_with_the_stream_is_given_again(stage: Stage) -> None:
    _, session, fence = started(stage)
    stage.cut(session)
    stage.connect(held=[Held(fence=fence, phase="starting")])
    assert stage.said(StartGranted) == [StartGranted(session.id, fence)] * 2


def test_what_is_being_cancelled_is_to_be_ended(stage: Stage) -> None:
    id_, session, fence = started(stage)
    stage.cut(session)
    cancel(stage, id_)
    stage.messages.clear()
    stage.connect(held=[Held(fence=fence, phase="running")])
    assert stage.verdicts() == {fence: "cancel"}
    assert stage.said(CancelWanted) == [CancelWanted(session.id, fence, "by alice")]
    assert stage.row(id_).state == "cancelling"


@pytest.mark.parametrize("phase", ["leased", "starting", "running"])
def test_a_superseded_attempt_is_to_be_ended(stage: Stage, phase: str) -> None:
    id_, _, fence = leased(stage)
    stage.live_through(SILENCE)
    stage.connect("w2")
    stage.connect("w1", held=[Held(fence=fence, phase=phase)])
    assert stage.verdicts() == {fence: "cancel"}
    assert stage.row(id_).worker == "w2"


def test_nobody_can_adopt_the_attempt_of_another_worker(stage: Stage) -> None:
    id_, session, fence = started(stage)
    stage.connect("w2", held=[Held(fence=fence, phase="running")])
    assert stage.verdicts() == {fence: "cancel"}
    stage.connect("w3", held=[Held(fence=fence, phase="finished")])
    assert stage.verdicts() == {fence: "forget"}
    assert stage.row(id_).session_id == session.id
    assert stage.row(id_).state == "running"


def test_a_result_that_is_known_is_to_be_forgotten(stage: Stage) -> None:
    _, session, fence = started(stage)
    stage.end(session, fence)
    stage.connect(held=[Held(fence=fence, phase="finished")])
    assert stage.verdicts() == {fence: "forget"}


def test_a_result_that_is_not_known_is_to_be_sent(stage: Stage) -> None:
    id_, session, fence = started(stage)
    stage.cut(session)
    session = stage.connect(held=[Held(fence=fence, phase="finished")])
    assert stage.verdicts() == {fence: "send_result"}
    stage.end(session, fence)
    assert stage.row(id_).state == "succeeded"


def test_a_lease_that_never_arrived_is_leased_again(stage: Stage) -> None:
    id_, _, fence = leased(stage)
    stage.connect(held=[])
    lease = stage.leases()[-1]
    assert (lease.execution.id, lease.attempt) == (id_, 2)
    assert lease.fence > fence


def test_a_started_attempt_that_its_worker_does_not_hold_is_lost(
    stage: Stage,
) -> None:
    id_, _, fence = started(stage)
    stage.connect(held=[])
    assert stage.row(id_).state == "lost"
    assert stage.verdicts() == {}
    assert fence not in stage.core.live.by_fence


def test_a_started_attempt_that_may_run_twice_runs_again(stage: Stage) -> None:
    id_, session, fence = leased(stage, idempotent=True)
    stage.report(session, Started(fence, NOON))
    stage.connect(held=[])
    assert (stage.row(id_).attempt, stage.row(id_).phase) == (2, "leased")
    assert stage.row(id_).started_at is None


def test_a_lease_that_never_arrived_and_is_not_wanted_any_more_is_cancelled(
    stage: Stage,
) -> None:
    id_, _, _ = leased(stage)
    cancel(stage, id_)
    stage.connect(held=[])
    assert (stage.row(id_).state, stage.row(id_).error) == ("cancelled", "by alice")


def test_work_that_needs_no_grant_may_have_begun_unheard_and_is_lost(
    stage: Stage,
) -> None:
    id_, _, _ = leased(stage, idempotent=True)
    cancel(stage, id_)
    stage.connect(held=[])
    assert stage.row(id_).state == "lost"


def test_a_run_that_vanished_while_it_was_being_cancelled_is_lost(
    stage: Stage,
) -> None:
    id_, _, _ = started(stage)
    cancel(stage, id_)
    stage.connect(held=[])
    assert stage.row(id_).state == "lost"
    assert "while it was being cancelled" in stage.row(id_).error


def test_every_entry_gets_its_own_verdict(stage: Stage) -> None:
    stage.submit_ad_hoc(3)
    session = stage.connect(slots=3)
    one, two, three = session.leases
    stage.end(session, three)
    stage.connect(
        slots=3,
        held=[
            Held(fence=one, phase="leased"),
            Held(fence=two, phase="finished"),
            Held(fence=three, phase="finished"),
            Held(fence=77, phase="running"),
        ],
    )
    assert stage.verdicts() == {
        one: "adopt",
        two: "send_result",
        three: "forget",
        77: "cancel",
    }


# Late results of lost attempts.


def lost_run(stage: Stage) -> tuple[str, int]:
    stage.apply()
    (id_,) = stage.submit()
    session = stage.connect()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.live_through(SILENCE)
    assert stage.row(id_).state == "lost"
    return id_, fence


def test_a_late_result_of_a_lost_run_is_believed_and_corrects_the_counters(
    stage: Stage,
) -> None:
    id_, fence = lost_run(stage)
    lost = stage.statistics()
    assert (lost.run_count, lost.success_count, lost.failure_count) == (1, 0, 1)
    assert stage.queue() == (0, 1)
    session = stage.connect(held=[Held(fence=fence, phase="finished")])
    assert stage.verdicts() == {fence: "send_result"}
    stage.end(session, fence, at=NOON + SECOND, output_bytes=5)
    row = stage.row(id_)
    assert (row.state, row.error, row.output_bytes) == ("succeeded", "", 5)
    found = stage.statistics()
    assert (found.run_count, found.success_count, found.failure_count) == (1, 1, 0)
    assert stage.queue() == (1, 0)
    assert [fact.state.value for fact in stage.said(ExecutionFinished)] == [
        "lost",
        "succeeded",
    ]


@pytest.mark.parametrize(
    ("move", "state", "failures"),
    [(Move.FAIL, "failed", 1), (Move.CANCEL, "cancelled", 0)],
)
def test_a_late_failure_of_a_lost_run_counts_once(
    stage: Stage, move: Move, state: str, failures: int
) -> None:
    id_, fence = lost_run(stage)
    session = stage.connect(held=[Held(fence=fence, phase="finished")])
    stage.end(session, fence, move)
    assert stage.row(id_).state == state
    assert stage.statistics().run_count == 1
    assert stage.statistics().failure_count == failures
    assert stage.queue() == (0, failures)


def test_a_lost_run_is_resolved_once(stage: Stage) -> None:
    id_, fence = lost_run(stage)
    session = stage.connect(held=[Held(fence=fence, phase="finished")])
    stage.end(session, fence)
    step = stage.end(session, fence, Move.FAIL)
    assert not step.changes
    assert step.messages == (ResultKept(session.id, fence),)
    assert stage.row(id_).state == "succeeded"
    assert stage.queue() == (1, 0)


def test_a_lost_run_can_be_resolved_after_a_restart(stage: Stage) -> None:
    id_, fence = lost_run(stage)
    stage.restart(after=60)
    session = stage.connect(held=[Held(fence=fence, phase="finished")])
    stage.end(session, fence)
    assert stage.row(id_).state == "succeeded"
    assert stage.statistics().failure_count == 0


def test_a_lost_run_is_resolved_by_its_own_worker_only(stage: Stage) -> None:
    id_, fence = lost_run(stage)
    liar = stage.connect("w2")
    step = stage.end(liar, fence)
    assert not step.changes
    assert stage.row(id_).state == "lost"


def test_a_worker_that_is_not_sure_leaves_a_lost_run_lost(stage: Stage) -> None:
    id_, fence = lost_run(stage)
    session = stage.connect(held=[Held(fence=fence, phase="finished")])
    stage.end(session, fence, Move.LOSE, error="unknown")
    assert stage.row(id_).state == "lost"
    assert stage.statistics().failure_count == 1


def test_a_lost_run_that_still_runs_goes_on_to_its_end(stage: Stage) -> None:
    id_, fence = lost_run(stage)
    session = stage.connect(held=[Held(fence=fence, phase="running")])
    assert stage.verdicts() == {fence: "adopt"}
    assert stage.row(id_).state == "lost"
    stage.end(session, fence)
    assert stage.row(id_).state == "succeeded"


def test_a_lost_run_of_another_worker_is_to_be_ended(stage: Stage) -> None:
    _, fence = lost_run(stage)
    stage.connect("w2", held=[Held(fence=fence, phase="running")])
    assert stage.verdicts() == {fence: "cancel"}


def test_a_run_that_was_lost_while_it_was_being_cancelled_is_to_be_ended(
    stage: Stage,
) -> None:
    id_, session, fence = started(stage)
    cancel(stage, id_)
    stage.live_through(SILENCE)
    assert stage.row(id_).state == "lost"
    session = stage.connect(held=[Held(fence=fence, phase="running")])
    assert stage.verdicts() == {fence: "cancel"}
    stage.end(session, fence, Move.CANCEL)
    assert stage.row(id_).state == "cancelled"


def test_a_lost_run_that_was_never_begun_has_failed(stage: Stage) -> None:
    id_, fence = lost_run(stage)
    session = stage.connect(held=[Held(fence=fence, phase="leased")])
    assert stage.verdicts() == {fence: "cancel"}
    stage.end(session, fence, Move.CANCEL, never_began=True, error="trust ran out")
    row = stage.row(id_)
    assert (row.state, row.error) == ("failed", "it was never begun: trust ran out")


def test_a_worker_that_takes_no_work_is_given_none_until_it_does() -> None:
    stage = Stage()
    session = stage.connect()
    stage.step(Beat(session.id, "its disk is full"))
    assert stage.said(SessionClosed) == [
        SessionClosed(session.id, session.worker, "its disk is full")
    ]
    stage.submit_ad_hoc()
    assert stage.leases() == []
    assert session.refusal == "takes no work now: its disk is full"
    stage.step(Beat(session.id, "its disk is full"))
    assert len(stage.said(SessionClosed)) == 1, "said once"
    stage.step(Beat(session.id))
    assert len(stage.leases()) == 1
    assert session.refusal is None


def test_a_new_stream_has_to_say_again_that_it_takes_no_work() -> None:
    stage = Stage()
    session = stage.connect()
    stage.step(Beat(session.id, "its disk is full"))
    stage.cut(session)
    assert stage.connect() is session
    assert session.closed == ""


def test_a_cancel_that_its_worker_never_answers_ends_as_lost() -> None:
    stage = Stage()
    id_, session, fence = leased(stage, cancel={"grace": "20s"})
    stage.start(session, fence)
    cancel(stage, id_)
    for _ in range(49):
        stage.wait(1)
        stage.step(Beat(session.id))
    assert stage.row(id_).state == "cancelling"
    stage.wait(2)
    assert stage.row(id_).state == "lost"
    assert "did not tell how it ended within 50s of the cancel" in stage.row(id_).error
    assert session.free_slots == session.slots
    stage.end(session, fence, Move.CANCEL)
    assert stage.row(id_).state == "cancelled", "a late result is believed"


def test_the_time_of_a_cancel_begins_anew_with_the_server() -> None:
    stage = Stage()
    id_, session, fence = leased(stage, cancel={"grace": "1s"})
    stage.start(session, fence)
    cancel(stage, id_)
    stage.restart()
    stage.connect(held=(Held(fence=fence, phase="running", started_at=NOON),))
    for _ in range(30):
        stage.wait(1)
        stage.step(Beat(session.id))
    assert stage.row(id_).state == "cancelling"
    stage.wait(2)
    assert stage.row(id_).state == "lost"
