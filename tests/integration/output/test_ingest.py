"""Chunks become durable in groups, and nobody is answered before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from integration.output.rig import Rig, all_acks, cut_into, settle
from jobs_grpc.controlplane.output import (
    Ack,
    Appended,
    Ingest,
    IngestSettings,
    LogKey,
    Output,
    OutputClosedError,
    OutputStore,
    Piece,
)
from unit.output.stand import FENCE, KEY, FaultyDisk, chunk, text_of


async def _at_the_gate(disk: FaultyDisk) -> None:
    """Return when a sync has begun."""
    assert await asyncio.to_thread(disk.at_gate.acquire, timeout=10)


async def test_an_answer_comes_only_after_the_sync(rig: Rig) -> None:
    lane = rig.output.ingest.open_lane()
    answers = asyncio.ensure_future(lane.acks())
    rig.disk.gate.clear()
    await lane.put(chunk(b"hello"))
    await _at_the_gate(rig.disk)
    await settle()
    assert not answers.done()
    assert await rig.output.store.read(KEY.execution_id, 1, 0, 10) == []
    rig.disk.gate.set()
    assert await answers == [Ack(key=KEY, fence=FENCE, offset=5)]
    assert rig.disk.syncs == 1
    lane.close()


async def test_while_one_group_is_synced_the_next_gathers(rig: Rig) -> None:
    lane = rig.output.ingest.open_lane()
    rig.disk.gate.clear()
    await lane.put(chunk(b"a", 0))
    await _at_the_gate(rig.disk)
    for offset in range(1, 200):
        await lane.put(chunk(b"a", offset))
    rig.disk.gate.set()
    lane.close()
    assert await all_acks(lane) == [Ack(key=KEY, fence=FENCE, offset=200)]
    assert rig.disk.syncs == 2


async def test_followers_get_nothing_before_the_sync(rig: Rig) -> None:
    follower = rig.follow()
    first = asyncio.ensure_future(anext(follower))
    await settle()
    rig.disk.gate.clear()
    pushing = asyncio.ensure_future(rig.push(chunk(b"hello")))
    await _at_the_gate(rig.disk)
    await settle()
    assert not first.done()
    rig.disk.gate.set()
    await pushing
    assert isinstance(await first, Piece)
    await follower.aclose()


async def test_many_attempts_on_one_stream_are_answered_each(rig: Rig) -> None:
    keys = [LogKey(f"{n:08x}", 1) for n in range(60)]
    acks = await rig.push(*(chunk(b"out", key=key) for key in keys))
    assert {ack.key for ack in acks} == set(keys)
    assert {ack.offset for ack in acks} == {3}
    for key in keys:
        read = await rig.output.store.read(key.execution_id, 1, 0, 10)
        assert text_of(read) == b"out"


async def test_a_name_is_durable_before_its_log_is_acknowledged(rig: Rig) -> None:
    rig.disk.directory_error = OSError("no")
    [result] = await rig.output.store.append([chunk(b"hello")])
    assert result.error is not None
    assert result.acks == ()
    rig.disk.directory_error = None
    assert await rig.push(chunk(b"hello")) == [Ack(key=KEY, fence=FENCE, offset=5)]


async def test_two_streams_of_one_worker_make_one_log(rig: Rig) -> None:
    """The old stream was not known to be dead when the new one came."""
    data = bytes(range(100))
    old, new = rig.output.ingest.open_lane(), rig.output.ingest.open_lane()
    for one in cut_into(data[:60], 7):
        await old.put(one)
    for one in cut_into(data, 9):
        await new.put(one)
    old.close()
    new.close()
    await all_acks(old)
    assert await all_acks(new) == [Ack(key=KEY, fence=FENCE, offset=100)]
    read = await rig.output.store.read(KEY.execution_id, 1, 0, 1_000)
    assert text_of(read) == data


async def test_an_old_fence_hears_that_it_is_refused(rig: Rig) -> None:
    await rig.push(chunk(b"new", fence=FENCE))
    [ack] = await rig.push(chunk(b"old", 3, fence=FENCE - 1))
    assert ack.refused
    assert await rig.output.store.size(KEY.execution_id, 1) == 3


async def test_a_worker_that_floods_is_held_up_and_others_are_not(
    tmp_path: Path,
) -> None:
    disk = FaultyDisk()
    store = OutputStore(tmp_path, disk=disk)
    limits = IngestSettings(inbox_bytes=1_000, lane_bytes=300, group_bytes=200)
    stored: list[Appended] = []
    ingest = Ingest(store, on_stored=stored.append, settings=limits)
    flood, other = ingest.open_lane(), ingest.open_lane()
    let_in: list[int] = []

    async def pour() -> None:
        for one in cut_into(bytes(10_000), 100):
            await flood.put(one)
            let_in.append(len(one.data))
        flood.close()

    def waiting() -> int:
        done = (piece for one in stored if one.key == KEY for piece in one.pieces)
        return sum(let_in) - sum(len(piece.data) for piece in done)

    pouring = asyncio.ensure_future(pour())
    await settle()
    assert waiting() == 300
    await other.put(chunk(bytes(100), key=LogKey("other", 1)))
    other.close()
    await ingest.run_once()
    assert [one.key.execution_id for one in stored] == [KEY.execution_id]
    await ingest.run_once()
    assert {one.key.execution_id for one in stored[1:]} == {KEY.execution_id, "other"}
    assert await all_acks(other) != []
    while not pouring.done() or waiting():
        await ingest.run_once()
        await settle()
        assert waiting() <= 300
    assert [ack.offset for ack in await all_acks(flood)] == [10_000]
    await store.close()


async def test_a_pass_without_work_does_nothing(rig: Rig) -> None:
    await rig.output.ingest.run_once()
    assert rig.disk.syncs == 0


async def test_closing_stores_what_was_taken_and_ends_the_lanes(tmp_path: Path) -> None:
    async def state_of(_execution: str, _attempt: int) -> None:
        return None

    output = Output(tmp_path, state_of)
    lane = output.ingest.open_lane()
    await lane.put(chunk(b"hello"))
    await output.close()
    assert await lane.acks() == [Ack(key=KEY, fence=FENCE, offset=5)]
    with pytest.raises(OutputClosedError):
        await lane.acks()
    with pytest.raises(OutputClosedError):
        await lane.put(chunk(b"more", 5))
    with pytest.raises(OutputClosedError):
        output.ingest.open_lane()
    await output.run()


async def test_a_pass_that_is_cancelled_loses_the_answer_and_no_more(
    rig: Rig,
) -> None:
    rig.disk.gate.clear()
    appending = asyncio.ensure_future(rig.output.store.append([chunk(b"hello")]))
    await _at_the_gate(rig.disk)
    appending.cancel()
    await settle()
    assert appending.cancelled()
    rig.disk.gate.set()
    assert await rig.push(chunk(b"hello world", 0)) == [
        Ack(key=KEY, fence=FENCE, offset=11)
    ]
    read = await rig.output.store.read(KEY.execution_id, 1, 0, 100)
    assert text_of(read) == b"hello world"


async def test_started_and_ended_again_and_again_nothing_is_left(rig: Rig) -> None:
    for offset in range(20):
        await rig.push(chunk(b"x", offset))
        await rig.restart()
    assert await rig.output.store.size(KEY.execution_id, 1) == 20
