"""What became of due times is kept for a while, then removed a few at a time."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.leader.retention import BATCH, Retention
from jobs_grpc.controlplane.storage.memory import MemoryStore
from jobs_grpc.controlplane.storage.store import DecisionFilter, TermEndedError
from support.clock import FakeClock
from support.jobs import DAY, HOUR, NAMESPACE, NOON, decision_row, pause_row


async def left(store: MemoryStore) -> int:
    return len(await store.decisions(DecisionFilter(NAMESPACE), 1_000_000))


async def test_old_decisions_go_in_batches_and_young_ones_stay() -> None:
    store = MemoryStore()
    term = await store.acquire_term(holder="h", address="a", now=NOON)
    old = [decision_row("s1", NOON + n) for n in range(BATCH + 7)]
    young = [decision_row("s1", NOON + HOUR + n) for n in range(5)]
    pauses = (
        pause_row("p1", ended_at=NOON),
        pause_row("p2", ended_at=NOON + 2 * HOUR),
        pause_row("p3"),
    )
    await store.commit(term, Changes(decisions=(*old, *young), pauses=pauses))
    clock = FakeClock(NOON + 90 * DAY + HOUR)
    retention = Retention(store=store, clock=clock, term=term, keep=90 * DAY)
    assert await retention.run_once() == BATCH
    assert await left(store) == 12
    # A pause stays as long as a decision may point to it.
    assert await store.pause("p1") is not None
    assert await retention.run_once() == 7
    assert await left(store) == 5
    assert await store.pause("p1") is None
    assert await store.pause("p2") is not None
    assert await store.pause("p3") is not None
    assert await retention.run_once() == 0


async def test_a_deposed_leader_removes_nothing() -> None:
    store = MemoryStore()
    term = await store.acquire_term(holder="h", address="a", now=NOON)
    await store.commit(term, Changes(decisions=(decision_row("s1", NOON),)))
    await store.acquire_term(holder="other", address="a", now=NOON)
    clock = FakeClock(NOON + 91 * DAY)
    retention = Retention(store=store, clock=clock, term=term, keep=90 * DAY)
    with pytest.raises(TermEndedError):
        await retention.run_once()
    assert await left(store) == 1
