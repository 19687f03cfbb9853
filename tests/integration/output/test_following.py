"""Followers get every byte once, in order, at their own speed, and an end."""

from __future__ import annotations

import asyncio
import random

import pytest

from integration.output.rig import Rig, collect, cut_into, settle
from jobs_grpc.controlplane.output import (
    AttemptEnd,
    End,
    Follower,
    FollowersFullError,
    Gap,
    GapReason,
    HubSettings,
    Lagged,
    LogKey,
    OutputArgumentError,
    OutputClosedError,
    Piece,
    Stream,
)
from unit.output.stand import KEY, chunk, text_of

DAY = 86_400_000_000
# More than what is held for a follower.
OVERFLOW = 300_000


async def live(rig: Rig) -> Follower:
    """Return a follower that has read ten bytes and lives from memory."""
    follower = rig.follow()
    waiting = asyncio.ensure_future(anext(follower))
    await settle()
    await rig.write(b"0123456789")
    assert text_of([await waiting]) == b"0123456789"
    return follower


async def overflow(rig: Rig, offset: int) -> None:
    """Store more than the follower's share of memory while it does not read."""
    half = OVERFLOW // 2
    await rig.write(bytes(half), offset)
    await rig.write(bytes(half), offset + half)


async def test_a_late_follower_sees_the_beginning_and_then_the_rest(
    rig: Rig,
) -> None:
    await rig.write(b"one ")
    follower = rig.follow()
    assert text_of([await anext(follower)]) == b"one "
    waiting = asyncio.ensure_future(anext(follower))
    await settle()
    assert not waiting.done()
    await rig.write(b"two", 4)
    assert text_of([await waiting]) == b"two"
    rig.end(AttemptEnd(output_bytes=7, final=True))
    events, end = await collect(follower)
    assert events == []
    assert end == End(log_complete=True, next_offset=7)
    assert len(rig.output.hub) == 0


async def test_a_follower_begins_within_a_record_or_beyond_the_end(
    rig: Rig,
) -> None:
    await rig.write(b"0123456789")
    rig.end(AttemptEnd(output_bytes=10, final=True))
    for offset in range(12):
        events, end = await collect(rig.follow(offset))
        assert text_of(events) == b"0123456789"[offset:]
        assert end == End(log_complete=True, next_offset=max(offset, 10))


async def test_a_follower_ahead_of_the_log_waits_for_its_byte(rig: Rig) -> None:
    follower = rig.follow(5)
    first = asyncio.ensure_future(anext(follower))
    await settle()
    await rig.write(b"0123")
    await settle()
    await rig.write(b"456", 4)
    piece = await first
    assert isinstance(piece, Piece)
    assert (piece.offset, piece.data) == (5, b"56")
    await follower.aclose()


async def test_only_the_streams_asked_for(rig: Rig) -> None:
    await rig.append(
        chunk(b"out", 0, stream=Stream.STDOUT),
        chunk(b"err", 3, stream=Stream.STDERR),
        chunk(b"sys", 6, stream=Stream.SYSTEM),
    )
    hub = rig.output.hub
    follower = hub.follow(KEY.execution_id, 1, streams=[Stream.STDERR, Stream.SYSTEM])
    await anext(follower)
    await rig.append(chunk(b"OUT", 9), chunk(b"ERR", 12, stream=Stream.STDERR))
    rig.end(AttemptEnd(output_bytes=15, final=True))
    events, end = await collect(follower)
    assert text_of(events) == b"sysERR"
    assert end == End(log_complete=True, next_offset=15)


async def test_without_follow_it_ends_at_what_is_stored_now(rig: Rig) -> None:
    await rig.write(b"hello")
    follower = rig.follow(follow=False)
    first = await anext(follower)
    await rig.write(b" world", 5)
    events, end = await collect(follower)
    assert text_of([first, *events]) == b"hello"
    assert end == End(log_complete=False, next_offset=5)


async def test_without_follow_a_finished_log_is_said_to_be_complete(
    rig: Rig,
) -> None:
    await rig.write(b"hello")
    rig.end(AttemptEnd(output_bytes=5, final=True))
    _, end = await collect(rig.follow(follow=False))
    assert end.log_complete


async def test_the_end_needs_both_the_log_and_the_execution(rig: Rig) -> None:
    follower = rig.follow()
    events = asyncio.ensure_future(collect(follower))
    await settle()
    rig.end(AttemptEnd(output_bytes=5, final=False))
    await rig.write(b"he")
    await settle()
    rig.end(AttemptEnd(output_bytes=5, final=True))
    await settle()
    assert not events.done()
    await rig.write(b"llo", 2)
    pieces, end = await events
    assert text_of(pieces) == b"hello"
    assert end.log_complete


async def test_an_attempt_without_output_ends_at_once(rig: Rig) -> None:
    rig.end(AttemptEnd(output_bytes=0, final=True))
    assert await collect(rig.follow()) == ([], End(log_complete=True, next_offset=0))


async def test_a_worker_that_died_leaves_a_gap_and_no_hang(rig: Rig) -> None:
    await rig.write(b"hel")
    events = asyncio.ensure_future(collect(rig.follow()))
    await settle()
    rig.end(AttemptEnd(output_bytes=5, final=True))
    rig.clock.advance(9)
    rig.output.hub.run_once()
    await settle()
    assert not events.done()
    rig.clock.advance(1)
    assert rig.output.hub.run_once() == 1
    [piece, gap], end = await events
    assert text_of([piece]) == b"hel"
    assert gap == Gap(offset=3, length=2, reason=GapReason.MISSING)
    assert end == End(log_complete=False, next_offset=3)


async def test_nobody_knows_how_much_is_missing(rig: Rig) -> None:
    await rig.write(b"hel")
    end = AttemptEnd(output_bytes=None, final=True, ended_at=rig.clock.now() - DAY)
    rig.end(end)
    events, ended = await collect(rig.follow())
    assert text_of(events) == b"hel"
    assert ended == End(log_complete=False, next_offset=3)


async def test_the_rest_may_still_come_within_the_grace(rig: Rig) -> None:
    events = asyncio.ensure_future(collect(rig.follow()))
    await settle()
    rig.end(AttemptEnd(output_bytes=5, final=True))
    rig.clock.advance(8)
    await rig.write(b"hel")
    rig.clock.advance(8)
    rig.output.hub.run_once()
    await settle()
    await rig.write(b"lo", 3)
    _, end = await events
    assert end.log_complete


async def test_a_lost_nudge_costs_time_and_no_hang(rig: Rig) -> None:
    """Neither the group nor the end was announced: the sweep finds both."""
    events = asyncio.ensure_future(collect(rig.follow()))
    await settle()
    await rig.output.store.append([chunk(b"hello")])
    rig.end(AttemptEnd(output_bytes=5, final=True), told=False)
    await settle()
    assert not events.done()
    rig.clock.advance(5)
    rig.output.hub.run_once()
    pieces, end = await events
    assert text_of(pieces) == b"hello"
    assert end.log_complete


async def test_damage_is_a_gap_and_the_log_not_complete(rig: Rig) -> None:
    await rig.write(b"one ")
    await rig.write(b"two ", 4)
    await rig.write(b"three", 8)
    path = rig.root / KEY.execution_id[:2] / KEY.file_name
    data = bytearray(path.read_bytes())
    data[data.index(b"two")] ^= 1
    path.write_bytes(bytes(data))
    rig.end(AttemptEnd(output_bytes=13, final=True))
    events, end = await collect(rig.follow())
    assert text_of(events) == b"one ????three"
    assert Gap(offset=4, length=4, reason=GapReason.DAMAGED) in events
    assert end == End(log_complete=False, next_offset=13)


async def test_a_deleted_log_ends_as_a_gap(rig: Rig) -> None:
    await rig.write(b"hello")
    follower = rig.follow()
    await rig.output.hub.brief(follower.watch)
    assert await rig.output.store.delete(KEY.execution_id) == 1
    events = asyncio.ensure_future(collect(follower))
    await settle()
    rig.end(AttemptEnd(output_bytes=5, final=True))
    contents, end = await events
    assert contents == [Gap(offset=0, length=5, reason=GapReason.DELETED)]
    assert end == End(log_complete=False, next_offset=5)


async def test_deleting_takes_every_attempt_and_no_other_execution(
    rig: Rig,
) -> None:
    keys = [LogKey("gone", 1), LogKey("gone", 12), LogKey("gone-1", 1)]
    await rig.append(*(chunk(b"x", key=key) for key in keys))
    assert await rig.output.store.delete("gone") == 2
    assert await rig.output.store.delete("gone") == 0
    sizes = [await rig.output.store.size(k.execution_id, k.attempt) for k in keys]
    assert sizes == [0, 0, 1]


async def test_a_slow_follower_holds_little_and_is_served_from_the_log(
    rig: Rig,
) -> None:
    data = random.Random(1).randbytes(3_000_000)
    follower = rig.follow()
    received = bytearray()
    first = asyncio.ensure_future(anext(follower))
    await settle()
    most = 0
    for one in cut_into(data, 50_000):
        await rig.append(one)
        most = max(most, follower.backlog_bytes)
        if not received and first.done():
            received += text_of([await first])
    rig.end(AttemptEnd(output_bytes=len(data), final=True))
    events, end = await collect(follower)
    assert most <= HubSettings().backlog_bytes
    assert bytes(received) + text_of(events) == data
    assert end.log_complete


async def test_a_follower_that_lags_is_told_so_where_the_log_takes_over(
    rig: Rig,
) -> None:
    follower = await live(rig)
    await overflow(rig, follower.position)
    rig.end(AttemptEnd(output_bytes=10 + OVERFLOW, final=True))
    [told, *events], end = await collect(follower)
    assert told == Lagged(offset=10)
    assert text_of(events) == bytes(OVERFLOW)
    assert not any(isinstance(one, Lagged) for one in events)
    assert end == End(log_complete=True, next_offset=10 + OVERFLOW)


async def test_a_follower_is_told_each_time_that_it_lags(rig: Rig) -> None:
    follower = await live(rig)
    told = []
    for _ in range(2):
        begin = follower.position
        await overflow(rig, begin)
        while follower.position < begin + OVERFLOW:
            event = await anext(follower)
            if isinstance(event, Lagged):
                told.append((event.offset, begin))
        # It has caught up, and takes what comes from memory again.
        waiting = asyncio.ensure_future(anext(follower))
        await settle()
        while waiting.done():
            waiting = asyncio.ensure_future(anext(follower))
            await settle()
        await rig.write(b"live", follower.position)
        assert text_of([await waiting]) == b"live"
    assert told == [(10, 10), (14 + OVERFLOW, 14 + OVERFLOW)]
    await follower.aclose()


async def test_who_comes_late_or_is_ahead_does_not_lag(rig: Rig) -> None:
    late, ahead = rig.follow(), rig.follow(2 * OVERFLOW)
    waiting = asyncio.ensure_future(anext(ahead))
    await settle()
    await overflow(rig, 0)
    await overflow(rig, OVERFLOW)
    rig.end(AttemptEnd(output_bytes=2 * OVERFLOW, final=True))
    events, end = await collect(late)
    assert {type(one) for one in events} == {Piece}
    assert await waiting == end == End(log_complete=True, next_offset=2 * OVERFLOW)


async def test_followers_that_keep_up_do_not_read_the_file(rig: Rig) -> None:
    follower = rig.follow()
    waiting = asyncio.ensure_future(anext(follower))
    await settle()
    rig.disk.read_error = OSError("must not be read")
    data = bytes(range(200))
    for one in cut_into(data, 10):
        await rig.append(one)
        piece = await waiting
        assert text_of([piece]) == one.data
        waiting = asyncio.ensure_future(anext(follower))
    rig.end(AttemptEnd(output_bytes=200, final=True))
    assert isinstance(await waiting, End)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_the_speeds_no_byte_is_lost_or_doubled(
    rig: Rig, seed: int
) -> None:
    source = random.Random(seed)
    data = source.randbytes(2_000_000)

    async def read_at_will(from_offset: int) -> None:
        follower = rig.follow(from_offset)
        text = bytearray()
        async for event in follower:
            if isinstance(event, Piece):
                assert event.offset == from_offset + len(text)
                text += event.data
            for _ in range(source.choice([0, 0, 1, 30])):
                await asyncio.sleep(0)
        assert bytes(text) == data[from_offset:]

    async with asyncio.TaskGroup() as group:
        for offset in (0, 1, 999_999, 2_000_000):
            group.create_task(read_at_will(offset))
        lane = rig.output.ingest.open_lane()
        offset = 0
        while offset < len(data):
            size = source.choice([1, 100, 60_000, 200_000])
            await lane.put(chunk(data[offset : offset + size], offset))
            offset += size
        rig.end(AttemptEnd(output_bytes=len(data), final=True))
        lane.close()


async def test_a_follower_goes_on_by_offset_after_the_leader_changed(
    rig: Rig,
) -> None:
    await rig.write(b"one ")
    follower = rig.follow()
    assert text_of([await anext(follower)]) == b"one "
    waiting = asyncio.ensure_future(anext(follower))
    await settle()
    await rig.restart()
    with pytest.raises(OutputClosedError):
        await waiting
    await rig.write(b"two", 4)
    rig.end(AttemptEnd(output_bytes=7, final=True))
    events, end = await collect(rig.follow(follower.position))
    assert text_of(events) == b"two"
    assert end.log_complete


async def test_too_many_followers_are_refused_and_places_come_back(
    rig: Rig,
) -> None:
    limit = HubSettings().max_followers
    followers = [rig.follow() for _ in range(limit)]
    with pytest.raises(FollowersFullError):
        rig.follow()
    await followers.pop().aclose()
    async with rig.follow():
        assert len(rig.output.hub) == limit
    for follower in followers:
        await follower.aclose()
        await follower.aclose()
    assert len(rig.output.hub) == 0


async def test_a_follower_that_is_cancelled_can_go_on(rig: Rig) -> None:
    follower = rig.follow()
    waiting = asyncio.ensure_future(anext(follower))
    await settle()
    waiting.cancel()
    await settle()
    await rig.write(b"hello")
    assert text_of([await anext(follower)]) == b"hello"
    await follower.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(follower)


async def test_a_closed_hub_and_a_bad_offset_are_refused(rig: Rig) -> None:
    with pytest.raises(OutputArgumentError):
        rig.follow(-1)
    rig.output.hub.close()
    with pytest.raises(OutputClosedError):
        rig.follow()


async def test_news_of_logs_that_nobody_follows_cost_nothing(rig: Rig) -> None:
    await rig.write(b"hello")
    rig.end(AttemptEnd(output_bytes=5, final=True))
    rig.clock.advance(60)
    assert rig.output.hub.run_once() == 0
    assert rig.asked == 0
