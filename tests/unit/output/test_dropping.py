"""What is beyond a job's limit: not waited for, not kept, and shown as a gap."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from jobs_grpc.controlplane.output import (
    Chunk,
    Content,
    Gap,
    GapReason,
    OutputArgumentError,
    OutputStore,
    Piece,
)
from unit.output.desk import Desk
from unit.output.stand import KEY, chunk

MIB = 1 << 20
HEAD = MIB
TAIL = 3 * MIB


def piece_of_flood(offset: int, data: bytes) -> Chunk:
    """Return a chunk as a worker sends it that keeps `HEAD` and `TAIL`."""
    end = offset + len(data)
    dropped = range(HEAD, end - TAIL) if end > HEAD + TAIL else range(0)
    return chunk(data, offset, dropped=dropped)


def bytes_by_offset(contents: list[Content]) -> list[tuple[int, int, str]]:
    """Return (offset, end, what) with neighbors of one kind joined."""
    found: list[tuple[int, int, str]] = []
    for content in contents:
        what = content.reason.value if isinstance(content, Gap) else "bytes"
        if found and found[-1][1:] == (content.offset, what):
            found[-1] = (found[-1][0], content.end, what)
        else:
            found.append((content.offset, content.end, what))
    return found


async def test_of_a_flood_the_beginning_and_the_end_take_space_and_are_read(
    tmp_path: Path,
) -> None:
    whole = random.Random(1).randbytes(24 * MIB)
    store = OutputStore(tmp_path)
    size = 256 * 1024
    most = 0
    for at in range(0, len(whole), size):
        (stored,) = await store.append([piece_of_flood(at, whole[at : at + size])])
        assert stored.size == at + size
        (file,) = tmp_path.rglob("*.log")
        most = max(most, file.stat().st_blocks * 512)
    assert most <= HEAD + TAIL + MIB
    for again in range(2):
        if again:
            await store.close()
            store = OutputStore(tmp_path)
        contents = await store.read(KEY.execution_id, KEY.attempt, 0, 1 << 40)
        (head, gap, tail) = bytes_by_offset(contents)
        assert head == (0, HEAD, "bytes")
        assert gap == (HEAD, tail[0], "dropped")
        assert tail[0] <= len(whole) - TAIL
        assert tail[1:] == (len(whole), "bytes")
        for each in contents:
            if isinstance(each, Piece):
                assert each.data == whole[each.offset : each.end]
        within = await store.read(KEY.execution_id, KEY.attempt, 7 * MIB, 1000)
        assert bytes_by_offset(within) == [(7 * MIB, tail[0], "dropped")]
        (late, *_) = await store.read(KEY.execution_id, KEY.attempt, tail[0] + 5, 10)
        assert isinstance(late, Piece)
        assert late.data == whole[tail[0] + 5 : tail[0] + 15]
    await store.close()


async def test_what_a_worker_has_dropped_is_not_waited_for(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    (stored,) = await store.append(
        [chunk(b"head", 0), chunk(b"tail", 100, dropped=range(2, 100))]
    )
    assert (stored.size, stored.acks[0].offset) == (104, 104)
    assert [one.data for one in stored.pieces] == [b"head", b"tail"]
    found = bytes_by_offset(await store.read(KEY.execution_id, KEY.attempt, 0, 1000))
    assert found == [(0, 4, "bytes"), (4, 100, "dropped"), (100, 104, "bytes")]
    await store.close()


async def test_a_hole_that_was_not_announced_is_still_asked_for(tmp_path: Path) -> None:
    store = OutputStore(tmp_path)
    await store.append([chunk(b"head", 0)])
    for dropped in (range(0), range(5, 100), range(2, 99)):
        (stored,) = await store.append([chunk(b"tail", 100, dropped=dropped)])
        assert (stored.size, stored.acks[0].offset) == (4, 4)
    await store.close()


def test_a_crash_while_space_is_given_back_costs_nothing_that_is_kept() -> None:
    source = random.Random(7)
    for seed in range(30):
        desk, whole = Desk(), source.randbytes(60_000)
        head, tail = 4_000, 16_000
        for at in range(0, len(whole), 1_000):
            end = at + 1_000
            dropped = range(head, end - tail) if end > head + tail else range(0)
            desk.append(chunk(whole[at:end], at, dropped=dropped))
            desk.drop()
        assert len(desk.disk.punched)
        desk.crash(seed)
        contents = desk.log.read(0, 1 << 30)
        for each in contents:
            if isinstance(each, Piece):
                assert each.data == whole[each.offset : each.end]
            else:
                assert head <= each.offset < each.end <= len(whole) - tail
        assert contents[-1].end == len(whole)


@pytest.mark.parametrize("dropped", [range(-1, 3), range(9)])
def test_nonsense_about_what_was_dropped_is_refused(dropped: range) -> None:
    with pytest.raises(OutputArgumentError):
        chunk(b"data", 4, dropped=dropped)


async def test_a_follower_gets_the_gap_in_its_place_and_a_complete_end(
    tmp_path: Path,
) -> None:
    from jobs_grpc.controlplane.output import AttemptEnd, Hub

    store = OutputStore(tmp_path)
    await store.append([chunk(b"head", 0), chunk(b"tail", 50, dropped=range(4, 50))])

    async def state_of(_: str, __: int) -> AttemptEnd:
        return AttemptEnd(output_bytes=54, final=True)

    hub = Hub(store, state_of)
    events = [event async for event in hub.follow(KEY.execution_id, KEY.attempt)]
    *contents, end = events
    assert [getattr(one, "reason", None) for one in contents] == [
        None,
        GapReason.DROPPED,
        None,
    ]
    assert end.log_complete  # type: ignore[union-attr]
    await store.close()
