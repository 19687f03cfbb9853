"""The story of an execution, from what is written of it."""

from __future__ import annotations

import json

from jobs_grpc.controlplane.core.answers.tracing import Entry, attempts_of, trace
from jobs_grpc.controlplane.core.state.inputs import Cancel, Held
from jobs_grpc.controlplane.core.state.states import Move
from support.jobs import NAMESPACE, NOON, SECOND
from support.stage import Stage, finish


def traced(stage: Stage, id_: str) -> list[Entry]:
    row = stage.row(id_)
    decisions = [one for one in stage.decisions() if one.execution_id == id_]
    return trace(
        row,
        decision=decisions[0] if decisions else None,
        attempts=finish(stage.store.attempts(row.seq)),
        events=finish(stage.store.events(row.seq)),
        links=finish(stage.store.links(row.seq)),
    )


def told(stage: Stage, id_: str) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in traced(stage, id_)]


def test_a_plain_run_of_a_schedule_tells_its_story(stage: Stage) -> None:
    stage.apply(schedule={"name": "tick", "every": "1s"})
    session = stage.connect()
    stage.wait(1)
    (row,) = stage.rows()
    fence = stage.leases()[-1].fence
    stage.now += 5
    stage.start(session, fence)
    stage.now += 5
    stage.end(session, fence, output_bytes=12)
    assert told(stage, row.id) == [
        ("decided", "schedule:tick was due 2026-03-02T12:00:01Z: started"),
        (
            "created",
            "created by schedule:tick (schedule), for queue default, priority 3",
        ),
        ("leased", f"attempt 1 leased to w1 (fence {fence})"),
        ("started", "attempt 1 started on w1"),
        ("ended", "attempt 1 succeeded, exit code 0, 12 bytes of output"),
        ("outcome", "succeeded"),
    ]


def test_retries_and_the_end_among_the_dead_letters(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(retry={"delays": ["1s"]})
    first = stage.leases()[-1].fence
    stage.start(session, first)
    stage.now += 5
    stage.end(session, first, Move.FAIL, exit_code=3)
    stage.wait(1)
    second = stage.leases()[-1].fence
    stage.end(session, second, Move.FAIL, exit_code=4, started_at=stage.now)
    assert told(stage, id_) == [
        ("created", "created by alice (api), for queue default, priority 3"),
        ("leased", f"attempt 1 leased to w1 (fence {first})"),
        ("started", "attempt 1 started on w1"),
        ("ended", "attempt 1 failed, exit code 3"),
        (
            "retry_scheduled",
            "retry 1 of 1 in 1s, because Command failed: exit status 3",
        ),
        ("leased", f"attempt 2 leased to w1 (fence {second})"),
        ("started", "attempt 2 started on w1"),
        ("ended", "attempt 2 failed, exit code 4"),
        ("outcome", "failed: Command failed: exit status 4"),
        ("dead_lettered", "put among the dead letters: retries exhausted"),
    ]
    assert [
        one.attempt for one in attempts_of(stage.row(id_), stage.attempts(id_))
    ] == [
        1,
        2,
    ]


def test_durations_are_told_as_everywhere_else(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc(retry={"delays": ["90s"]})
    stage.end(session, stage.leases()[-1].fence, Move.FAIL, started_at=stage.now)
    (scheduled,) = [one for one in told(stage, id_) if one[0] == "retry_scheduled"]
    assert scheduled[1].startswith("retry 1 of 1 in 1m30s, ")


def test_a_worker_that_was_frozen_and_came_back(stage: Stage) -> None:
    frozen = stage.connect("w1")
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    stale = stage.leases()[-1].fence
    stage.cut(frozen)
    stage.live_through(60)
    other = stage.connect("w2")
    fresh = stage.leases()[-1].fence
    stage.end(other, fresh, started_at=stage.now)
    stage.now += SECOND
    stage.connect("w1", held=[Held(fence=stale, phase="finished")])
    assert told(stage, id_)[1:] == [
        ("leased", f"attempt 1 leased to w1 (fence {stale})"),
        (
            "released",
            "attempt 1 taken back, to be given again: worker w1 is gone (silence)",
        ),
        ("waited", "waited 24s because no worker is connected"),
        ("leased", f"attempt 2 leased to w2 (fence {fresh})"),
        ("started", "attempt 2 started on w2"),
        ("ended", "attempt 2 succeeded, exit code 0"),
        ("outcome", "succeeded"),
        (
            "report_refused",
            f"late report (finished) of the old fence {stale} from w1 refused",
        ),
    ]


def test_the_old_fence_is_known_to_the_next_leader(stage: Stage) -> None:
    frozen = stage.connect("w1")
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    stale = stage.leases()[-1].fence
    stage.cut(frozen)
    stage.live_through(60)
    stage.connect("w2")
    stage.restart(after=1)
    stage.connect("w1", held=[Held(fence=stale, phase="finished")])
    assert told(stage, id_)[-1] == (
        "report_refused",
        f"late report (finished) of the old fence {stale} from w1 refused",
    )


def test_of_one_instant_an_attempt_ends_before_the_next_begins(stage: Stage) -> None:
    session = stage.connect("w1")
    (id_,) = stage.submit_ad_hoc(idempotent=True)
    stage.connect("w2")
    stage.now += SECOND
    stage.end(session, stage.leases()[-1].fence, Move.LOSE, error="the keeper died")
    assert [kind for kind, _ in told(stage, id_)] == [
        "created",
        "leased",
        "released",
        "leased",
    ]


def test_a_killed_run_tells_who_asked_and_which_signals_were_sent(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.now += SECOND
    stage.step(
        Cancel(namespace=NAMESPACE, execution_id=id_, reason="cancelled by alice")
    )
    receipt = {
        "signals": [["TERM", stage.now, 3], ["KILL", stage.now + SECOND, 1]],
        "survivors": ["stuck (77)"],
        "output_leaked": False,
    }
    stage.now += 2 * SECOND
    stage.end(
        session, fence, Move.CANCEL, signal="KILL", receipt_json=json.dumps(receipt)
    )
    assert told(stage, id_)[3:] == [
        ("cancel_asked", "its end was asked for: cancelled by alice"),
        ("signalled", "TERM sent to 3 processes of attempt 1"),
        ("signalled", "KILL sent to 1 process of attempt 1"),
        ("survived", "still alive after the last signal: stuck (77)"),
        ("ended", "attempt 1 cancelled, by signal KILL"),
        ("outcome", "cancelled: cancelled by alice"),
    ]


def test_a_lease_of_an_earlier_term_has_no_instant_and_keeps_its_place(
    stage: Stage,
) -> None:
    stage.connect()
    (id_,) = stage.submit_ad_hoc()
    stage.restart(after=1)
    entries = traced(stage, id_)
    assert [(one.kind, one.at) for one in entries] == [
        ("created", NOON),
        ("leased", None),
    ]


def test_what_never_ran_has_a_story_too(stage: Stage) -> None:
    (id_,) = stage.submit_ad_hoc()
    stage.step(Cancel(namespace=NAMESPACE, execution_id=id_, reason="enough"))
    assert [kind for kind, _ in told(stage, id_)] == [
        "created",
        "cancel_asked",
        "outcome",
    ]


def test_a_long_wait_for_a_slot_is_told_from_the_start(stage: Stage) -> None:
    _, id_ = stage.submit_ad_hoc(2)
    session = stage.connect(slots=1)
    stage.live_through(20)
    (fence,) = session.leases
    stage.end(session, fence)
    (fence,) = session.leases
    stage.start(session, fence)
    assert [text for kind, text in told(stage, id_) if kind == "waited"] == [
        "waited 20s for a free slot"
    ]


def test_a_lost_run_says_why_once(stage: Stage) -> None:
    session = stage.connect()
    (id_,) = stage.submit_ad_hoc()
    fence = stage.leases()[-1].fence
    stage.start(session, fence)
    stage.cut(session)
    stage.live_through(60)
    assert told(stage, id_)[3:] == [
        ("lost", "attempt 1 lost: worker w1 is gone (silence)"),
        ("outcome", "lost: its end is not known"),
    ]
