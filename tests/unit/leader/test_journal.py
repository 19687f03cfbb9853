from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.draft import Step
from jobs_grpc.controlplane.core.state.errors import JobNotFoundError
from jobs_grpc.controlplane.core.state.inputs import Beat, DeleteJob
from jobs_grpc.controlplane.leader import journal as module
from jobs_grpc.controlplane.leader.journal import (
    Journal,
    NotLeadingError,
    OverloadedError,
)
from jobs_grpc.controlplane.storage.store import StoreFailedError, TermEndedError
from jobs_grpc.runtime.clock import SystemClock
from support.clock import FakeClock
from support.gated_store import GatedStore
from support.jobs import apply, hello, key, spec, submission, submit
from support.until import until


class Desk:
    """A journal over a store that the test can hold up."""

    def __init__(self, clock: Any = None, **settings: Any) -> None:
        self.store = GatedStore()
        self.clock = clock or FakeClock()
        self.released: list[Step] = []
        self.core = Core(term=1)
        self.journal = Journal(
            core=self.core,
            store=self.store,
            clock=self.clock,
            release=self.released.append,
            **settings,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        await self.store.acquire_term(holder="h", address="a", now=0)
        task = asyncio.create_task(self.journal.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, ExceptionGroup):
                await task

    def submit(self, one: Any) -> asyncio.Task[object]:
        return asyncio.create_task(self.journal.submit(one))


async def settle() -> None:
    """Let everything go on that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_nothing_is_said_before_its_commit() -> None:
    desk = Desk()
    async with desk.running():
        desk.store.gate.clear()
        answer = desk.submit(apply(spec()))
        await desk.store.at_gate.acquire()
        await settle()
        assert not answer.done()
        assert [step.facts for step in desk.released if step.facts] == []
        assert desk.core.live.jobs  # decided, but not told
        desk.store.gate.set()
        await answer
        assert desk.store.commits[-1].jobs
        assert desk.released[-1].facts


async def test_effects_are_released_before_the_answer_and_in_order() -> None:
    desk = Desk()
    async with desk.running():
        for number in range(5):
            await desk.journal.submit(apply(spec(name=f"job-{number}")))
            assert [fact.key[2] for step in desk.released for fact in step.facts] == [  # type: ignore[union-attr]
                f"job-{one}" for one in range(number + 1)
            ]


async def test_what_arrives_during_a_commit_is_one_commit() -> None:
    desk = Desk()
    async with desk.running():
        await desk.journal.submit(apply(spec()))
        desk.store.commits.clear()
        desk.store.gate.clear()
        first = desk.submit(submit())
        await settle()
        # One step is with the store, one may wait beside it; the rest gathers.
        rest = [desk.submit(submit()) for _ in range(500)]
        await settle()
        desk.store.gate.set()
        await asyncio.gather(first, *rest)
        assert sum(len(changes.created) for changes in desk.store.commits) == 501
        assert len(desk.store.commits) <= 3


async def test_a_refusal_goes_to_its_caller_alone() -> None:
    desk = Desk()
    async with desk.running():
        wrong = desk.submit(DeleteJob(key("nobody")))
        right = desk.submit(apply(spec()))
        with pytest.raises(JobNotFoundError):
            await wrong
        await right


async def test_a_step_that_changes_nothing_needs_no_commit() -> None:
    desk = Desk()
    async with desk.running():
        await settle()
        with pytest.raises(JobNotFoundError):
            await desk.journal.submit(DeleteJob(key()))
        assert desk.store.commits == []


@pytest.mark.parametrize(
    "failure", [StoreFailedError("disk full"), TermEndedError("term 1 is over")]
)
async def test_a_failed_commit_ends_the_term_and_refuses_everybody(
    failure: Exception,
) -> None:
    desk = Desk()
    async with desk.running() as task:
        desk.store.gate.clear()
        desk.store.failures.append(failure)
        # In the commit, in the step beside it, in the stepper's hand, in the inbox.
        waiting = []
        for number in range(6):
            waiting.append(desk.submit(apply(spec(name=f"job-{number}"))))
            await settle()
        desk.store.gate.set()
        with pytest.raises(ExceptionGroup) as ended:
            await task
        assert ended.value.subgroup(type(failure)) is not None
        answers = await asyncio.wait_for(
            asyncio.gather(*waiting, return_exceptions=True), timeout=5
        )
        assert [type(answer) for answer in answers] == [NotLeadingError] * 6
    assert not any(step.facts for step in desk.released)
    with pytest.raises(NotLeadingError):
        await desk.journal.submit(apply(spec()))
    with pytest.raises(NotLeadingError):
        desk.journal.tell(Beat("s"))


async def test_a_cancelled_journal_refuses_everybody() -> None:
    desk = Desk()
    async with desk.running() as task:
        desk.store.gate.clear()
        waiting = []
        for number in range(5):
            waiting.append(desk.submit(apply(spec(name=f"job-{number}"))))
            await settle()
        task.cancel()
        answers = await asyncio.wait_for(
            asyncio.gather(*waiting, return_exceptions=True), timeout=5
        )
        assert [type(answer) for answer in answers] == [NotLeadingError] * 5


async def test_a_caller_that_went_away_disturbs_nobody() -> None:
    desk = Desk()
    async with desk.running():
        desk.store.gate.clear()
        gone = desk.submit(apply(spec(name="gone")))
        staying = desk.submit(apply(spec(name="staying")))
        await settle()
        gone.cancel()
        desk.store.gate.set()
        await staying
        assert {row.name for row in desk.store.commits[-1].jobs} <= {"gone", "staying"}


async def test_too_much_is_refused_at_the_door() -> None:
    desk = Desk(inbox_limit=3)
    for _ in range(3):
        desk.journal.tell(Beat("s"))
    with pytest.raises(OverloadedError):
        desk.journal.tell(Beat("s"))
    with pytest.raises(OverloadedError):
        await desk.journal.submit(apply(spec()))
    desk.journal.step_once()
    desk.journal.tell(Beat("s"))


async def test_what_is_in_no_hurry_shares_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LEISURE", 0.01)
    desk = Desk()
    steps = []
    step_once = desk.journal.step_once

    def counted() -> object:
        taken = step_once()
        steps.append(len(taken[1]))
        return taken

    monkeypatch.setattr(desk.journal, "step_once", counted)
    async with desk.running():
        await settle()
        steps.clear()
        for _ in range(3):
            desk.journal.tell_sometime(Beat("s"))
            await settle()
        assert steps == []
        await until(lambda: bool(steps))
        assert steps == [3]
        desk.journal.tell_sometime(Beat("s"))
        desk.journal.tell(Beat("s"))
        await settle()
        assert steps == [3, 2]


async def test_one_step_takes_a_bounded_number_of_inputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STEP_LIMIT", 10)
    desk = Desk()
    for _ in range(25):
        desk.journal.tell(Beat("s"))
    sizes = [len(desk.journal.step_once()[1]) for _ in range(4)]
    assert sizes == [10, 10, 5, 0]


async def test_inputs_are_taken_in_their_order() -> None:
    desk = Desk()
    desk.journal.tell(apply(spec(command="first")))
    desk.journal.tell(apply(spec(command="second")))
    step, _ = desk.journal.step_once()
    assert [reply[0].outcome for reply in step.replies] == ["created", "updated"]  # type: ignore[index]


async def test_it_steps_at_the_instant_the_core_asked_for() -> None:
    desk = Desk()
    await desk.store.acquire_term(holder="h", address="a", now=0)
    desk.journal.tell(apply(spec(schedule="every 1m")))
    step, futures = desk.journal.step_once()
    await desk.journal.commit_once(step, futures)
    assert step.wake_at is not None
    until_needed = desk.journal._until_needed

    waiting = asyncio.create_task(until_needed())
    await settle()
    assert not waiting.done()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting

    desk.clock.advance(60)
    await asyncio.wait_for(until_needed(), timeout=5)
    step, _ = desk.journal.step_once()
    assert len(step.changes.decisions) == 1


async def test_it_steps_at_once_when_something_arrives() -> None:
    desk = Desk()
    desk.journal.step_once()
    waiting = asyncio.create_task(desk.journal._until_needed())
    await settle()
    assert not waiting.done()
    desk.journal.tell(Beat("s"))
    await asyncio.wait_for(waiting, timeout=5)


async def test_it_looks_again_when_the_clock_was_set_back() -> None:
    desk = Desk()
    desk.journal.tell(hello(stream=1))
    desk.journal.step_once()
    desk.clock.advance(-3_600)
    await asyncio.wait_for(desk.journal._until_needed(), timeout=5)


async def test_due_times_are_met_in_real_time() -> None:
    desk = Desk(SystemClock())
    async with desk.running():
        await desk.journal.submit(apply(spec(schedule="every 1s", overlap="allow")))
        await until(lambda: bool(desk.store._decisions))
        (row,) = desk.store._decisions.values()
        assert 0 <= row.decided_at - row.due_at < 500_000


async def test_a_thousand_submissions_need_few_commits() -> None:
    desk = Desk()
    async with desk.running():
        await asyncio.gather(
            *(
                desk.journal.submit(submit(submission(spec=spec())))
                for _ in range(1_000)
            )
        )
        assert len(desk.store._executions) == 1_000
        assert len(desk.store.commits) < 20
