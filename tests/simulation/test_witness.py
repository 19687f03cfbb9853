"""The witness is tried first: each of these histories breaks one promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from simulation.kernel import NOON, SECOND, Kernel
from simulation.witness import Seen, Spawn, Witness

MINUTE: Final = 60 * SECOND
RULE: Final = "a-rule"
Break = Callable[["History"], None]


class History:
    """A short good history that each test spoils: two due times, one of them run."""

    def __init__(self) -> None:
        self.kernel = Kernel(0)
        self.witness = Witness(self.kernel)
        self.witness.slots["w0"] = 2
        self.witness.promised(RULE, SECOND, NOON)
        self.at(1.0)
        self.witness.decided_one(RULE, NOON + SECOND, "one", late=10_000)
        self.seen = self.create(1, "one", schedule=RULE, due=NOON + SECOND)
        self.at(2.0)
        self.witness.decided_one(RULE, NOON + 2 * SECOND, late=10_000)
        self.lease(1, fence=11)
        self.witness.moved(1, "running", 11, 1, "started")
        self.witness.granted(11)
        self.spawn = self.begin(self.seen, fence=11)

    def at(self, seconds: float) -> None:
        self.kernel.now = int(seconds * SECOND)

    def create(
        self,
        seq: int,
        name: str,
        *,
        schedule: str = "",
        due: int = NOON,
        delivery: str = "at_most_once",
        request: str = "",
    ) -> Seen:
        seen = Seen(name, "a-job", delivery, schedule, due, "pending", self.kernel.now)
        self.witness.created(seq, seen, request)
        return seen

    def submit(self, seq: int, name: str, delivery: str = "at_most_once") -> Seen:
        self.witness.asked(f"request-{name}")
        seen = self.create(seq, name, delivery=delivery, request=f"request-{name}")
        self.witness.answered(f"request-{name}", name)
        return seen

    def lease(self, seq: int, *, fence: int, attempt: int = 1) -> None:
        self.witness.moved(seq, "pending", fence, attempt, "leased")
        self.witness.leased(fence)

    def begin(self, seen: Seen, *, fence: int, host: str = "w0") -> Spawn:
        now = self.kernel.now
        spawn = Spawn(seen.id, seen.job, 1, fence, host, now, now)
        self.witness.began(spawn)
        self.witness.printed(spawn, b"hello\n")
        self.witness.output_stored(fence, 0, b"hello\n")
        self.witness.output_kept(fence, 6)
        return spawn

    def end(self, state: str = "succeeded", exit_code: int = 0) -> None:
        self.at(2.5)
        if self.spawn.ended_at is None:
            self.witness.finished(self.spawn, "exit", exit_code)
        self.witness.ended_as(self.seen, state, "11", exit_code, 6)
        self.witness.result_kept(11)

    def conclude(self, leader_seconds: float = 3.0) -> set[str]:
        self.at(200.0)
        leader_now = NOON + int(leader_seconds * SECOND)
        self.witness.conclude(leader_now=leader_now, healed_at=3 * SECOND)
        return {one.invariant for one in self.witness.violations}


def test_a_good_history_breaks_no_promise() -> None:
    history = History()
    history.end()
    assert history.conclude() == set()


def _decided_twice(history: History) -> None:
    history.witness.decided_one(RULE, NOON + SECOND, "other")


def _two_executions_of_one_due_time(history: History) -> None:
    history.create(2, "one", schedule=RULE, due=NOON + SECOND)


def _two_executions_of_one_request(history: History) -> None:
    history.submit(2, "two")
    history.create(3, "three", request="request-two")


def _due_time_left_out(history: History) -> None:
    history.end()
    history.conclude(leader_seconds=60)


def _decided_late(history: History) -> None:
    history.at(30)
    history.witness.decided_one(RULE, NOON + 3 * SECOND, late=27 * SECOND)


def _decided_early(history: History) -> None:
    history.witness.decided_one(RULE, NOON + 3 * SECOND, late=-1)


def _started_again(history: History) -> None:
    history.witness.finished(history.spawn, "gone")
    history.lease(1, fence=12, attempt=2)
    history.begin(history.seen, fence=12, host="w1")


def _fence_started_twice(history: History) -> None:
    seen = history.submit(2, "two", "at_least_once")
    history.lease(2, fence=21)
    history.begin(seen, fence=21)
    history.begin(seen, fence=21, host="w1")


def _begun_after_it_was_given_up(history: History) -> None:
    seen = history.submit(2, "two", "at_least_once")
    history.lease(2, fence=21)
    history.at(3)
    history.lease(2, fence=22, attempt=2)
    history.at(4)
    history.begin(seen, fence=21)


def _never_completed(history: History) -> None:
    seen = history.submit(2, "two", "at_least_once")
    history.lease(2, fence=21)
    history.witness.ended_as(seen, "lost")
    history.conclude()


def _succeeded_though_it_failed(history: History) -> None:
    history.witness.finished(history.spawn, "exit", 3)
    history.end("succeeded", 0)
    history.conclude()


def _wrong_exit_code(history: History) -> None:
    history.witness.finished(history.spawn, "exit", 3)
    history.end("failed", 4)
    history.conclude()


def _cancelled_though_it_ran_to_its_end(history: History) -> None:
    history.end("cancelled")
    history.conclude()


def _final_state_changed(history: History) -> None:
    history.end()
    history.witness.ended_as(history.seen, "failed", "11", 1)


def _final_one_goes_on(history: History) -> None:
    history.end()
    history.witness.moved(1, "pending", 11, 1, "none")


def _lost_though_its_end_is_known(history: History) -> None:
    history.witness.finished(history.spawn, "exit")
    history.spawn.is_recorded = True
    history.witness.ended_as(history.seen, "lost")
    history.conclude()


def _acknowledged_submission_is_gone(history: History) -> None:
    history.submit(2, "two")
    del history.witness.executions["two"]
    history.conclude()


def _acknowledged_before_it_is_stored(history: History) -> None:
    history.witness.asked("request-two")
    history.witness.answered("request-two", "two")


def _lease_sent_before_its_commit(history: History) -> None:
    history.witness.leased(99)


def _start_granted_before_its_commit(history: History) -> None:
    history.submit(2, "two")
    history.lease(2, fence=21)
    history.witness.granted(21)


def _result_acknowledged_before_its_commit(history: History) -> None:
    history.witness.result_kept(11)


def _definition_acknowledged_and_not_there(history: History) -> None:
    history.witness.defined_job("a-job", is_stored=False)


def _output_acknowledged_and_not_stored(history: History) -> None:
    history.witness.output_kept(11, 7)


def _output_with_a_hole(history: History) -> None:
    history.witness.output_stored(11, 9, b"!")


def _output_is_short(history: History) -> None:
    history.witness.printed(history.spawn, b"and more\n")
    history.end()
    history.conclude()


def _more_processes_than_slots(history: History) -> None:
    for number in (2, 3):
        seen = history.submit(number, f"e{number}")
        history.lease(number, fence=20 + number)
        history.begin(seen, fence=20 + number)


def _more_processes_than_the_job_may_have(history: History) -> None:
    history.witness.limits["a-job"] = 1
    seen = history.submit(2, "two")
    history.lease(2, fence=22)
    history.begin(seen, fence=22, host="w1")


def _older_term_writes(history: History) -> None:
    from jobs_grpc.controlplane.core.rows.changes import Changes

    history.witness.committed(2, Changes())
    history.witness.committed(1, Changes())


def _stale_result_is_believed(history: History) -> None:
    seen = history.submit(2, "two", "at_least_once")
    history.lease(2, fence=21)
    history.lease(2, fence=22, attempt=2)
    history.witness.ended_as(seen, "succeeded", "21", 0)


def _fence_goes_back(history: History) -> None:
    history.submit(2, "two", "at_least_once")
    history.lease(2, fence=22)
    history.lease(2, fence=21, attempt=2)


def _process_outlives_its_attempt(history: History) -> None:
    history.witness.ended_as(history.seen, "cancelled")
    history.conclude()


def _never_final(history: History) -> None:
    history.conclude()


def _nobody_asked_for_it(history: History) -> None:
    history.create(2, "two", request="request-nobody")


def _no_decision_for_it(history: History) -> None:
    history.create(2, "two", schedule=RULE, due=NOON + 9 * SECOND)


def _process_of_nothing(history: History) -> None:
    history.witness.began(Spawn("nothing", "a-job", 1, 77, "w1", 0))


BAD: Final[dict[Break, str]] = {
    _decided_twice: "I1",
    _two_executions_of_one_due_time: "I1",
    _two_executions_of_one_request: "I1",
    _due_time_left_out: "I2",
    _decided_late: "I3",
    _decided_early: "I3",
    _started_again: "I4",
    _fence_started_twice: "I4",
    _begun_after_it_was_given_up: "I4",
    _never_completed: "I5",
    _succeeded_though_it_failed: "I6",
    _wrong_exit_code: "I6",
    _cancelled_though_it_ran_to_its_end: "I6",
    _final_state_changed: "I6",
    _final_one_goes_on: "I6",
    _lost_though_its_end_is_known: "I6",
    _acknowledged_submission_is_gone: "I7",
    _acknowledged_before_it_is_stored: "I7",
    _lease_sent_before_its_commit: "I7",
    _start_granted_before_its_commit: "I7",
    _result_acknowledged_before_its_commit: "I7",
    _definition_acknowledged_and_not_there: "I7",
    _output_acknowledged_and_not_stored: "I7",
    _output_with_a_hole: "I8",
    _output_is_short: "I8",
    _more_processes_than_slots: "I9",
    _more_processes_than_the_job_may_have: "I9",
    _older_term_writes: "I10",
    _stale_result_is_believed: "I10",
    _fence_goes_back: "I10",
    _process_outlives_its_attempt: "I11",
    _never_final: "I12",
    _nobody_asked_for_it: "I15",
    _no_decision_for_it: "I15",
    _process_of_nothing: "I15",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_bad_history_breaks_the_right_promise(spoil: Break) -> None:
    history = History()
    spoil(history)
    assert BAD[spoil] in {one.invariant for one in history.witness.violations}


def test_a_late_decision_is_explained_by_a_fault() -> None:
    history = History()
    history.witness.fault(5 * SECOND, 28 * SECOND)
    history.at(30)
    history.witness.decided_one(RULE, NOON + 3 * SECOND, late=27 * SECOND)
    assert not history.witness.violations
