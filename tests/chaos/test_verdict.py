"""The judge, judged: a good history passes, and each bad one breaks the right promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.history import Decided, Fault, History, Submitted, Ticking, Told, Witnessed
from chaos.verdict import expected_lines, judge

BEGAN = 1_000_000.0
ENDED = BEGAN + 30


def seen(event: str, execution: str, at: float, fence: int = 1) -> Witnessed:
    return Witnessed(
        event=event, execution=execution, attempt=1, fence=fence, pid=1, at=at
    )


def good() -> History:
    """Return the history of a run without a flaw."""
    history = History(seed=1, began=BEGAN, ended=ENDED)
    history.ticking = [Ticking(job="tick", every=10, since=BEGAN - 5)]
    for number, due in enumerate((BEGAN, BEGAN + 10, BEGAN + 20)):
        id_ = f"tick-{number}"
        history.decided.append(
            Decided(job="tick", due_at=due, outcome="started", reason="", execution=id_)
        )
        history.told.append(told(id_, job="tick", trigger="schedule", due=due))
        history.witnessed += [seen("start", id_, due + 0.1), seen("end", id_, due + 1)]
    for id_, code, twice in (("once", 7, False), ("twice", 0, True)):
        history.submitted.append(
            Submitted(
                id=id_, job=id_, at=BEGAN, lines=2, code=code, may_run_twice=twice
            )
        )
        history.witnessed += [seen("start", id_, BEGAN), seen("end", id_, BEGAN + 1)]
        state = "failed" if code else "succeeded"
        output = expected_lines(id_, 1, 2)
        history.told.append(told(id_, state=state, code=code, output=output))
    history.told_before = {one.id: one.state for one in history.told}
    return history


def told(
    id_: str,
    *,
    job: str = "job",
    trigger: str = "api",
    state: str = "succeeded",
    code: int = 0,
    due: float = BEGAN,
    output: str | None = None,
) -> Told:
    return Told(
        id=id_,
        job=job,
        trigger=trigger,
        state=state,
        attempt=1,
        fence=1,
        exit_code=code,
        signal="",
        scheduled_for=due,
        started_at=due,
        finished_at=due + 1,
        output=output,
    )


def change(history: History, id_: str, **fields: object) -> None:
    """Let the API tell something else of an execution."""
    history.told = [
        replace(one, **fields) if one.id == id_ else one  # type: ignore[arg-type]
        for one in history.told
    ]
    history.told_before = {one.id: one.state for one in history.told}


def without_end(history: History, id_: str) -> None:
    history.witnessed = [
        one for one in history.witnessed if (one.event, one.execution) != ("end", id_)
    ]


def two_rows(history: History) -> None:
    history.decided.append(replace(history.decided[0], outcome="skipped"))


def started_twice_over(history: History) -> None:
    history.decided.append(replace(history.decided[0], execution="another"))


def two_executions(history: History) -> None:
    history.told.append(told("tick-x", job="tick", trigger="schedule", due=BEGAN))
    history.witnessed += [
        seen("start", "tick-x", BEGAN + 2),
        seen("end", "tick-x", BEGAN + 3),
    ]


def no_row(history: History) -> None:
    del history.decided[1]


def late(history: History) -> None:
    history.witnessed = [
        replace(one, at=one.at + 5) if one.execution == "tick-1" else one
        for one in history.witnessed
    ]


def second_start(history: History) -> None:
    history.witnessed.append(seen("start", "once", BEGAN + 2, fence=0))


def same_fence_twice(history: History) -> None:
    history.witnessed.append(seen("start", "twice", BEGAN + 2))


def higher_fence(history: History) -> None:
    history.witnessed.append(seen("start", "twice", BEGAN + 2, fence=2))


def lost_although_repeatable(history: History) -> None:
    history.faults.append(a_fault())
    change(history, "twice", state="lost", output="")


def long_job_lost_in_a_cut(history: History) -> None:
    history.faults.append(a_fault())
    history.submitted[0] = replace(history.submitted[0], code=0, must_succeed=True)
    change(history, "once", state="lost", exit_code=None, output=None)


def never_finished(history: History) -> None:
    change(history, "once", state="running", output="")


def success_unwitnessed(history: History) -> None:
    without_end(history, "twice")


def success_of_a_failure(history: History) -> None:
    change(history, "once", state="succeeded", exit_code=0)


def failure_of_a_success(history: History) -> None:
    change(history, "twice", state="failed", exit_code=1)


def wrong_code(history: History) -> None:
    change(history, "once", exit_code=1)


def killed_by_nobody(history: History) -> None:
    without_end(history, "once")
    change(history, "once", exit_code=None, signal="KILL", output=None)


def cancelled_by_nobody(history: History) -> None:
    change(history, "once", state="cancelled")


def lost_without_reason(history: History) -> None:
    change(history, "once", state="lost", output="")


def final_state_changed(history: History) -> None:
    history.told_before["once"] = "succeeded"


def acknowledged_and_gone(history: History) -> None:
    history.told = [one for one in history.told if one.id != "once"]
    history.witnessed = [one for one in history.witnessed if one.execution != "once"]


def never_submitted(history: History) -> None:
    history.told.append(told("stranger"))
    history.witnessed += [
        seen("start", "stranger", BEGAN),
        seen("end", "stranger", BEGAN),
    ]


def ran_unknown(history: History) -> None:
    history.witnessed.append(seen("start", "ghost", BEGAN))


def output_cut(history: History) -> None:
    change(history, "twice", output=expected_lines("twice", 1, 1))


def output_doubled(history: History) -> None:
    change(history, "twice", output=expected_lines("twice", 1, 2) * 2)


def output_of_another(history: History) -> None:
    history.cancelled.add("once")
    change(history, "once", state="cancelled", output="what is this\n")


def overlapping(history: History) -> None:
    history.witnessed = [
        replace(one, at=BEGAN + 15)
        if (one.event, one.execution) == ("end", "tick-0")
        else one
        for one in history.witnessed
    ]


def orphan(history: History) -> None:
    history.leftovers.append("42 sleep 1000")


def a_fault() -> Fault:
    return Fault(name="f", target="w1", began=BEGAN, healed=BEGAN + 1, recovered=0.1)


BAD: list[tuple[Callable[[History], None], str]] = [
    (two_rows, "unique"),
    (started_twice_over, "unique"),
    (two_executions, "unique"),
    (no_row, "complete"),
    (late, "window"),
    (second_start, "at-most-once"),
    (same_fence_twice, "at-most-once"),
    (higher_fence, "fencing"),
    (lost_although_repeatable, "at-least-once"),
    (long_job_lost_in_a_cut, "at-least-once"),
    (never_finished, "liveness"),
    (success_unwitnessed, "verdict"),
    (success_of_a_failure, "verdict"),
    (failure_of_a_success, "verdict"),
    (wrong_code, "verdict"),
    (killed_by_nobody, "verdict"),
    (cancelled_by_nobody, "verdict"),
    (lost_without_reason, "verdict"),
    (final_state_changed, "verdict"),
    (acknowledged_and_gone, "durable"),
    (never_submitted, "extra"),
    (ran_unknown, "extra"),
    (output_cut, "output"),
    (output_doubled, "output"),
    (output_of_another, "output"),
    (overlapping, "overlap"),
    (orphan, "orphans"),
]


def test_a_good_history_passes() -> None:
    assert judge(good()) == []


@pytest.mark.parametrize(
    ("spoil", "invariant"), BAD, ids=lambda one: getattr(one, "__name__", one)
)
def test_a_bad_history_breaks_the_right_promise(
    spoil: Callable[[History], None], invariant: str
) -> None:
    history = good()
    spoil(history)
    assert {one.invariant for one in judge(history)} == {invariant}


def test_faults_explain_lateness_loss_and_kills() -> None:
    history = good()
    late(history)
    history.faults.append(a_fault())
    history.killed.add(("once", 1))
    killed_by_nobody(history)
    assert judge(history) == []


def test_what_was_never_answered_may_end_with_any_code() -> None:
    history = good()
    history.unanswered = 1
    history.submitted = [one for one in history.submitted if one.id != "once"]
    assert judge(history) == []


def test_a_range_row_speaks_for_all_due_times_in_it() -> None:
    history = good()
    first = history.decided[1]
    history.decided[1] = replace(
        first, outcome="skipped", reason="paused", until=first.due_at + 5
    )
    assert judge(history) == []


@pytest.mark.parametrize(("job", "names"), [("twice", []), ("once", ["at-most-once"])])
def test_what_nobody_answered_may_run_as_often_as_its_job(
    job: str, names: list[str]
) -> None:
    history = good()
    history.unanswered = 1
    history.told.append(replace(told("ghost", job=job), attempt=2, fence=2))
    for fence in (1, 2):
        at = BEGAN + 4 * fence
        history.witnessed += [
            seen("start", "ghost", at, fence=fence),
            seen("end", "ghost", at + 1, fence=fence),
        ]
    assert [one.invariant for one in judge(history)] == names
