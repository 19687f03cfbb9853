from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from jobs_grpc.controlplane.core.state.effects import (
    ExecutionFinished,
    Fact,
    JobApplied,
    ReportRefused,
)
from jobs_grpc.controlplane.core.state.inputs import Cancel
from jobs_grpc.controlplane.leader.journal import NotLeadingError
from jobs_grpc.controlplane.leader.leader import GOOD_TERM, Leader
from jobs_grpc.controlplane.leader.outboxes import SentAway
from jobs_grpc.controlplane.storage.store import StoreFailedError
from jobs_grpc.runtime.backoff import Backoff
from support.clock import FakeClock
from support.gated_store import GatedStore
from support.jobs import NAMESPACE, apply, key, spec, submission, submit
from support.reign import Reign
from support.until import until


@asynccontextmanager
async def running(store: GatedStore) -> AsyncIterator[tuple[Leader, list[bool]]]:
    leader = Leader(store=store, clock=FakeClock(), holder="h", address="a")
    changes: list[bool] = []
    leader.on_change = changes.append
    task = asyncio.create_task(leader.run())
    try:
        await term_of(leader, 1)
        yield leader, changes
    finally:
        task.cancel()
        await asyncio.wait([task])


async def term_of(leader: Leader, term: int) -> None:
    """Wait until a term (or a later one) has begun."""
    await until(lambda: leader.term >= term)


async def test_a_failed_commit_is_followed_by_a_term_that_knows_what_is_committed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = GatedStore()
    async with running(store) as (leader, changes):
        await leader.submit(apply(spec(name="kept")))
        store.failures.append(StoreFailedError("/data/jobs.db: disk is full"))
        with pytest.raises(NotLeadingError):
            await leader.submit(apply(spec(name="gone")))
        await term_of(leader, 2)
        assert set(leader.core.live.jobs) == {key("kept")}
        await leader.submit(apply(spec(name="next")))
        assert changes == [True, False, True]
    assert "term 1 ended: /data/jobs.db: disk is full" in caplog.text


async def test_a_leader_that_was_replaced_learns_it_at_its_next_commit() -> None:
    store = GatedStore()
    async with running(store) as (leader, _):
        await store.acquire_term(holder="other", address="b", now=0)
        with pytest.raises(NotLeadingError):
            await leader.submit(apply(spec()))
        await term_of(leader, 3)
        assert leader.core.live.jobs == {}


async def test_an_idle_leader_that_was_replaced_learns_it_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs_grpc.controlplane.leader.leader.RENEW_EVERY", 0.01)
    store = GatedStore()
    async with running(store) as (leader, _):
        await store.acquire_term(holder="other", address="b", now=0)
        await term_of(leader, 3)


async def test_a_store_that_is_away_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AwayStore(GatedStore):
        tries = 0

        async def acquire_term(self, *, holder: str, address: str, now: int) -> int:
            self.tries += 1
            if self.tries in {2, 3}:
                raise StoreFailedError("away")
            return await super().acquire_term(holder=holder, address=address, now=now)

    store = AwayStore()
    async with running(store) as (leader, _):
        store.failures.append(StoreFailedError("away"))
        with pytest.raises(NotLeadingError):
            await leader.submit(apply(spec()))
        await term_of(leader, 2)
        assert store.tries == 4


async def test_between_terms_there_is_nobody_to_ask(reign: Reign) -> None:
    await reign.end()
    assert reign.leader.term == 0
    with pytest.raises(NotLeadingError):
        await reign.leader.submit(apply(spec()))
    with pytest.raises(NotLeadingError):
        assert reign.leader.core


async def test_the_end_of_a_term_sends_every_worker_away_to_come_back(
    reign: Reign,
) -> None:
    outbox = reign.leader.outboxes.open()
    await reign.end()
    assert await outbox.take() == [SentAway("the leader changes", 0.5)]


async def test_facts_are_heard_after_their_commit_and_before_the_answer(
    reign: Reign,
) -> None:
    heard: list[Fact] = []

    def hear(facts: Sequence[Fact]) -> None:
        assert reign.store.commits[-1].jobs
        heard.extend(facts)

    reign.leader.subscribe(hear)
    await reign.leader.submit(apply(spec()))
    assert heard == [JobApplied(key(), "created", 1)]


async def test_who_waits_for_an_end_is_woken_when_it_is_committed(
    reign: Reign,
) -> None:
    heard: list[Fact] = []
    reign.leader.subscribe(heard.extend)
    one = submission(spec=spec())
    await reign.leader.submit(submit(one))
    with reign.leader.waiters.expect(one.id) as ended:
        await reign.leader.submit(
            Cancel(namespace=NAMESPACE, execution_id=one.id, reason="enough")
        )
        await asyncio.wait_for(ended, timeout=5)
    assert [fact for fact in heard if isinstance(fact, ExecutionFinished)]


async def test_a_held_leader_decides_nothing_until_it_may_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = GatedStore()
    async with running(store) as (leader, changes):
        await leader.submit(apply(spec(name="kept")))
        leader.hold("the disk is full")
        await until(lambda: leader.term == 0)
        with pytest.raises(NotLeadingError, match="now: the disk is full"):
            await leader.submit(apply(spec(name="refused")))
        leader.resume()
        await term_of(leader, 2)
        assert set(leader.core.live.jobs) == {key("kept")}
        assert changes == [True, False, True]
    assert "term 1 is held: the disk is full" in caplog.text


async def test_after_a_good_term_the_next_is_tried_without_delay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, store = FakeClock(), GatedStore()
    resets: list[float] = []
    monkeypatch.setattr(Backoff, "reset", lambda _: resets.append(clock.monotonic()))
    leader = Leader(store=store, clock=clock, holder="h", address="a")
    task = asyncio.create_task(leader.run())
    try:
        for term, lasted in ((1, 0.0), (2, GOOD_TERM)):
            await term_of(leader, term)
            clock.advance(lasted)
            store.failures.append(StoreFailedError("away"))
            with pytest.raises(NotLeadingError):
                await leader.submit(apply(spec()))
            await term_of(leader, term + 1)
        assert len(resets) == 1
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_facts_of_others_reach_the_same_ears(reign: Reign) -> None:
    heard: list[Fact] = []
    reign.leader.subscribe(heard.extend)
    fact = ReportRefused("", 7, "output")
    reign.leader.notify((fact,))
    assert heard == [fact]
