from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobs_grpc.worker.attempts.announcer import ANNOUNCE_SECONDS
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.registry import KEEP_RESULTS
from jobs_grpc.worker.attempts.table import Event, State
from jobs_grpc.worker.keeper.protocol import AttemptStatus
from jobs_grpc.worker.restore import Restored
from jobs_grpc.worker.session import RESEND_SECONDS, Session
from jobs_grpc.worker.trust import Trust
from jobs_grpc.worker.work import Delivery, FunctionCall, Outcome, Progress, Verdict
from unit.worker.stand_ins import (
    RecordingJournal,
    RecordingRunner,
    StillClock,
    UnshippedOutputs,
    a_lease,
    a_result,
    told,
)


class Stage:
    """A session, and the parts around it."""

    def __init__(self, *, slots: int = 10, trusted: bool = True) -> None:
        self.clock = StillClock()
        self.trust = Trust(self.clock)
        self.journal = RecordingJournal()
        self.outputs = UnshippedOutputs()
        self.functions = RecordingRunner()
        self.processes = RecordingRunner()
        self.session = Session(
            slots=slots,
            clock=self.clock,
            trust=self.trust,
            journal=self.journal,
            outputs=self.outputs,
            functions=self.functions,
            processes=self.processes,
        )
        if trusted:
            self.trust.grant(self.clock.monotonic(), 30)

    def lease(self, *fences: int, **fields: Any) -> None:
        self.session.leased([a_lease(fence, **fields) for fence in fences])

    def ask(self, *fences: int) -> None:
        self.lease(*fences, delivery=Delivery.AT_MOST_ONCE)

    def attempt(self, fence: int) -> Attempt:
        found = self.session.registry.find(fence)
        assert found is not None
        return found

    def start(self, fence: int) -> None:
        self.session.started(self.attempt(fence), self.clock.now(), pid=17)

    def end(self, fence: int, outcome: Outcome = Outcome.SUCCEEDED) -> None:
        self.session.ended(self.attempt(fence), a_result(outcome), is_durable=True)

    def told(self) -> list[tuple[str, int]]:
        return told(self.session.batch())


def test_at_least_once_work_begins_at_once_and_is_noted_before() -> None:
    stage = Stage()
    stage.lease(1, 2)
    assert stage.journal.begun == stage.processes.begun == [1, 2]
    assert stage.told() == []


def test_a_function_goes_to_the_functions() -> None:
    stage = Stage()
    stage.lease(1, call=FunctionCall("f"))
    assert (stage.functions.begun, stage.processes.begun) == ([1], [])


def test_a_known_fence_is_ignored_whatever_became_of_it() -> None:
    stage = Stage()
    stage.lease(1)
    stage.lease(1)
    stage.end(1)
    stage.lease(1)
    stage.session.acknowledged([1])
    stage.lease(1)
    assert stage.processes.begun == [1]


def test_no_more_than_the_slots_run_and_the_rest_waits_its_turn() -> None:
    stage = Stage(slots=2)
    stage.lease(1, 2, 3, 4)
    assert stage.processes.begun == [1, 2]
    stage.end(2)
    assert stage.processes.begun == [1, 2, 3]
    stage.end(1)
    stage.end(3)
    assert stage.processes.begun == [1, 2, 3, 4]


def test_at_most_once_work_asks_and_begins_only_with_the_grant() -> None:
    stage = Stage()
    stage.ask(1)
    assert stage.told() == [("starting", 1)]
    assert stage.processes.begun == []
    stage.session.granted([1])
    assert stage.processes.begun == stage.journal.begun == [1]
    stage.session.granted([1])
    assert stage.processes.begun == [1]


def test_a_refused_start_is_forgotten_and_frees_its_slot() -> None:
    stage = Stage(slots=1)
    stage.ask(1, 2)
    stage.session.refused([1])
    assert stage.session.registry.find(1) is None
    assert stage.told() == [("starting", 2)]
    stage.session.granted([1])
    assert stage.processes.begun == []


def test_a_refusal_that_comes_after_the_begin_changes_nothing() -> None:
    stage = Stage()
    stage.ask(1)
    stage.session.granted([1])
    stage.session.refused([1])
    assert stage.attempt(1).state is State.STARTING


def test_a_cancel_before_the_begin_is_a_result_not_started() -> None:
    stage = Stage(slots=1)
    stage.lease(1, 2)
    stage.session.cancelled(2, "by alice")
    two = stage.attempt(2)
    assert two.result is not None
    assert (two.result.outcome, two.result.error) == (
        Outcome.NOT_STARTED,
        "by alice",
    )
    assert stage.journal.ended == [2]
    assert stage.told() == []  # not on disk yet
    stage.session.durable([two])
    assert stage.told() == [("finished", 2)]
    stage.end(1)
    assert stage.processes.begun == [1]


def test_a_cancel_before_the_grant_wins() -> None:
    stage = Stage(slots=1)
    stage.ask(1)
    stage.session.cancelled(1, "by alice")
    stage.session.granted([1])
    assert stage.processes.begun == []
    stage.lease(2)
    assert stage.processes.begun == [2]


def test_a_cancel_of_running_work_is_asked_once_and_keeps_its_first_reason() -> None:
    stage = Stage()
    stage.lease(1)
    stage.session.cancelled(1, "by alice")
    stage.session.cancelled(1, "by bob")
    stage.session.cancelled(99, "unknown")
    assert stage.processes.cancelled == [1]
    assert stage.attempt(1).stop_reason == "by alice"


def test_without_trust_nothing_begins_until_it_is_renewed() -> None:
    stage = Stage(trusted=False)
    stage.lease(1)
    assert stage.processes.begun == []
    stage.trust.grant(stage.clock.monotonic(), 30)
    stage.session.trusted()
    assert stage.processes.begun == [1]


def test_a_grant_that_comes_when_trust_has_run_out_is_asked_for_again() -> None:
    stage = Stage()
    stage.ask(1)
    assert stage.told() == [("starting", 1)]
    stage.clock.advance(25)
    stage.session.granted([1])
    assert stage.processes.begun == []
    stage.trust.renew(stage.clock.monotonic())
    stage.session.trusted()
    assert stage.told() == [("starting", 1)]
    stage.session.granted([1])
    assert stage.processes.begun == [1]


async def test_the_start_of_quick_work_is_not_told_for_its_end_tells_it() -> None:
    stage = Stage()
    stage.lease(1, 2)
    stage.start(1)
    stage.start(2)
    stage.end(1)
    await asyncio.sleep(ANNOUNCE_SECONDS * 3)
    assert stage.told() == [("finished", 1), ("started", 2)]


async def test_progress_is_told_after_the_start() -> None:
    stage = Stage()
    stage.lease(1)
    stage.start(1)
    stage.session.progressed(stage.attempt(1), Progress(1, 0.5, "half"))
    assert stage.told() == [("started", 1), ("progress", 1)]


async def test_a_start_that_is_heard_of_after_the_end_is_nothing_new() -> None:
    stage = Stage()
    stage.lease(1)
    stage.end(1)
    stage.start(1)
    assert stage.attempt(1).state is State.FINISHED


def test_a_result_of_a_function_leaves_only_when_it_is_on_disk() -> None:
    stage = Stage()
    stage.lease(1, call=FunctionCall("f"))
    one = stage.attempt(1)
    stage.session.ended(one, a_result(), is_durable=False)
    assert stage.journal.ended == [1]
    assert stage.told() == []
    stage.session.durable([one])
    assert stage.told() == [("finished", 1)]


def test_an_acknowledged_result_frees_the_disk_when_its_output_is_shipped() -> None:
    stage = Stage()
    stage.outputs.fences = {1}
    stage.lease(1, 2)
    stage.end(1)
    stage.end(2)
    stage.session.acknowledged([1, 2])
    assert stage.journal.acknowledged == stage.journal.kept == [1, 2]
    assert stage.processes.released == [2]
    stage.outputs.fences.clear()
    stage.session.output_settled(1)
    assert stage.processes.released == [2, 1]


def test_output_that_is_shipped_before_the_acknowledgement_frees_nothing() -> None:
    stage = Stage()
    stage.lease(1)
    stage.end(1)
    stage.session.output_settled(1)
    assert stage.processes.released == []


def test_an_acknowledgement_of_what_has_not_ended_is_ignored() -> None:
    stage = Stage()
    stage.lease(1)
    stage.session.acknowledged([1, 99])
    assert stage.attempt(1).state is State.STARTING
    assert stage.journal.acknowledged == []


def test_a_bounded_number_of_acknowledged_results_is_kept() -> None:
    stage = Stage(slots=KEEP_RESULTS * 2)
    fences = list(range(1, KEEP_RESULTS + 11))
    stage.lease(*fences)
    for fence in fences:
        stage.end(fence)
    stage.session.acknowledged(fences)
    assert len(list(stage.session.registry)) == KEEP_RESULTS
    assert 10 not in stage.session.registry
    assert 11 in stage.session.registry
    stage.clock.advance(15 * 60 + 1)
    stage.lease(5000)
    stage.end(5000)
    stage.session.acknowledged([5000])
    assert len(list(stage.session.registry)) == 1


class TestReturning:
    """What each verdict on an inventory does."""

    def test_adopted_work_is_told_as_it_stands_now(self) -> None:
        stage = Stage()
        stage.ask(1)
        stage.lease(2, 3)
        stage.attempt(2).move(Event.START)
        stage.attempt(3).move(Event.START)
        stage.told()
        stage.session.disconnected()
        stage.end(3)  # between the hello and the welcome
        stage.session.judged(dict.fromkeys((1, 2, 3), Verdict.ADOPT))
        assert stage.told() == [("finished", 3), ("starting", 1), ("started", 2)]

    def test_a_stream_that_breaks_takes_nothing_along(self) -> None:
        stage = Stage()
        stage.lease(1)
        stage.end(1)
        stage.session.disconnected()
        assert stage.told() == []
        stage.session.judged({1: Verdict.SEND_RESULT})
        assert stage.told() == [("finished", 1)]

    def test_cancelled_work_is_ended(self) -> None:
        stage = Stage()
        stage.lease(1)
        stage.session.judged({1: Verdict.CANCEL})
        assert stage.processes.cancelled == [1]

    def test_a_forgotten_result_is_not_told_again(self) -> None:
        stage = Stage()
        stage.lease(1)
        stage.end(1)
        stage.session.judged({1: Verdict.FORGET})
        assert stage.told() == []
        assert stage.processes.released == [1]
        assert 1 not in stage.session.registry
        assert stage.journal.forgotten == [1]

    def test_output_outlives_a_forgotten_result(self) -> None:
        stage = Stage()
        stage.outputs.fences = {1}
        stage.lease(1)
        stage.end(1)
        stage.session.judged({1: Verdict.FORGET})
        assert stage.processes.released == []
        stage.outputs.fences.clear()
        stage.session.output_settled(1)
        assert stage.processes.released == [1]

    def test_forgotten_work_that_has_not_begun_never_begins(self) -> None:
        stage = Stage()
        stage.ask(1)
        stage.session.judged({1: Verdict.FORGET})
        stage.session.granted([1])
        assert stage.processes.begun == []

    def test_forgotten_work_that_runs_is_ended(self) -> None:
        stage = Stage()
        stage.lease(1)
        stage.session.judged({1: Verdict.FORGET})
        assert stage.processes.cancelled == [1]

    def test_a_lost_result_is_sent_again_after_its_acknowledgement(self) -> None:
        stage = Stage()
        stage.lease(1)
        stage.end(1)
        stage.session.acknowledged([1])
        stage.session.judged({1: Verdict.SEND_RESULT})
        assert stage.told() == [("finished", 1)]
        stage.session.acknowledged([1])
        assert stage.attempt(1).state is State.ACKNOWLEDGED

    def test_verdicts_on_the_unknown_are_ignored(self) -> None:
        stage = Stage()
        stage.session.judged(dict.fromkeys(range(4), Verdict.CANCEL))
        assert stage.told() == []
        assert stage.processes.cancelled == []


def test_a_result_that_nobody_acknowledges_is_told_again_after_a_while() -> None:
    stage = Stage()
    stage.lease(1)
    stage.end(1)
    assert stage.told() == [("finished", 1)]
    stage.clock.advance(RESEND_SECONDS - 1)
    stage.session.remind()
    assert stage.told() == []
    stage.clock.advance(2)
    stage.session.remind()
    assert stage.told() == [("finished", 1)]


def test_a_closing_session_gives_back_what_has_not_begun() -> None:
    stage = Stage(slots=2)
    stage.ask(1)
    stage.lease(2, 3)
    stage.session.close()
    results = [stage.attempt(fence).result for fence in (1, 3)]
    assert [r.outcome for r in results if r] == [Outcome.NOT_STARTED] * 2
    stage.end(2)
    stage.lease(4)
    assert stage.processes.begun == [2]


async def test_told_returns_when_every_result_is_acknowledged() -> None:
    stage = Stage()
    await stage.session.told()
    stage.lease(1, 2)
    stage.end(1)
    waiting = asyncio.ensure_future(stage.session.told())
    await asyncio.sleep(0)
    assert not waiting.done()
    stage.session.acknowledged([1])
    await waiting


def test_restored_attempts_hold_their_slots_and_their_place() -> None:
    stage = Stage(slots=1)
    running, ended, known, cut = (
        Attempt.of_lease(a_lease(fence)) for fence in (1, 2, 3, 4)
    )
    running.state = State.RUNNING
    for attempt in (ended, known, cut):
        attempt.state = State.FINISHED
        attempt.result = a_result()
    restored = Restored(
        ended=[ended],
        acknowledged=[(known, stage.clock.now())],
        cut_short=[cut],
    )
    restored.running.append((running, AttemptStatus(fence=1, state="running")))
    stage.session.restore(restored)
    assert stage.journal.ended == [4]
    assert stage.attempt(3).state is State.ACKNOWLEDGED
    stage.lease(1, 2, 3, 4, 5)
    assert stage.processes.begun == []
    stage.end(1)
    assert stage.processes.begun == [5]
    stage.session.tidy()
    assert stage.processes.released == [3]


def test_work_that_ends_as_it_begins_lets_the_next_begin() -> None:
    stage = Stage(slots=1)

    def begin(attempt: Attempt) -> None:
        stage.session.ended(attempt, a_result(Outcome.FAILED), is_durable=True)

    stage.processes.begin = begin  # type: ignore[method-assign]
    stage.lease(*range(1, 3001))
    assert len(stage.told()) == 1000


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("state", [s for s in State if s is not State.DROPPED])
def test_any_verdict_may_meet_any_state(state: State, verdict: Verdict) -> None:
    """The leader judges what it was told, and meanwhile the attempt moved on."""
    stage = Stage()
    attempt = Attempt.of_lease(a_lease(1))
    if state in {State.FINISHED, State.ACKNOWLEDGED}:
        attempt.result = a_result()
    attempt.state = State.FINISHED if state is State.ACKNOWLEDGED else state
    stage.session.registry.add(attempt)
    if state is State.ACKNOWLEDGED:
        stage.session.registry.acknowledge(attempt, 0)
    stage.session.judged({1: verdict})
    # What runs is ended first, and its result is told.
    is_gone = verdict is Verdict.FORGET and state not in {State.STARTING, State.RUNNING}
    assert (stage.session.registry.find(1) is None) is is_gone


def test_work_that_comes_while_none_is_taken_is_given_back() -> None:
    stage = Stage(slots=1)
    stage.lease(1, 2)
    assert stage.processes.begun == [1]
    stage.session.take_work("its disk is full")
    stage.lease(3)
    assert stage.journal.ended == [2, 3], "that of the waiting one, too"
    assert stage.attempt(3).result is not None
    assert stage.attempt(3).result.outcome is Outcome.NOT_STARTED  # type: ignore[union-attr]
    assert stage.attempt(3).result.error == "its disk is full"  # type: ignore[union-attr]
    stage.session.take_work("")
    stage.end(1)
    stage.lease(4)
    assert stage.processes.begun == [1, 4]


def test_nothing_begins_without_room_for_its_result() -> None:
    stage = Stage()
    stage.journal.has_room = False
    stage.lease(1)
    stage.ask(2)
    assert stage.processes.begun == []
    assert stage.told() == []
    assert stage.journal.ended == [1, 2]
    stage.journal.has_room = True
    stage.ask(3)
    assert stage.journal.reserved == {3}
    stage.session.refused([3])
    assert stage.journal.reserved == set()
