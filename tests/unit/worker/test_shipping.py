from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from jobs_grpc.worker.attempts.attempt import Attempt, Ticket
from jobs_grpc.worker.keeper.spool import (
    UNSAID,
    SpoolWriter,
    Stream,
)
from jobs_grpc.worker.shipping import (
    ATTEMPT_WINDOW_BYTES,
    CHUNK_BYTES,
    STALL_SECONDS,
    WINDOW_BYTES,
    Chunk,
    Shipping,
    spool_size,
)
from unit.worker.stand_ins import StillClock, a_lease

MIB = 1 << 20


class Dock:
    """Spools on a disk, a shipping, and a leader that stores."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = StillClock()
        self.shipping = Shipping(self.clock)
        self.settled: list[int] = []
        self.shipping.on_settled = self.settled.append
        self.writers: dict[int, SpoolWriter] = {}
        self.stored: dict[int, bytearray] = {}

    def write(self, fence: int, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        if fence not in self.writers:
            self.writers[fence] = SpoolWriter(self.directory / str(fence), 1 << 40)
            attempt = Attempt.of_lease(a_lease(fence))
            self.shipping.track(attempt, self.directory / str(fence) / "spool")
        view = memoryview(data)
        for start in range(0, len(data), 65_536):
            self.writers[fence].write(stream, view[start : start + 65_536], 1)
        self.shipping.grown(fence, self.writers[fence].size)

    def end(self, fence: int) -> None:
        self.writers[fence].finish(2)
        self.shipping.end(fence, self.writers[fence].size)

    def restart(self) -> None:
        """The process of the worker starts anew; the spools are there."""
        sizes = {fence: writer.size for fence, writer in self.writers.items()}
        self.shipping.close()
        self.shipping = Shipping(self.clock)
        self.shipping.on_settled = self.settled.append
        for fence, size in sizes.items():
            attempt = Attempt.of_lease(a_lease(fence))
            self.shipping.track(attempt, self.directory / str(fence) / "spool")
            self.shipping.grown(fence, size)

    async def turn(self) -> list[Chunk] | None:
        """Return what is sent next; None when nothing may be."""
        waiting = asyncio.ensure_future(self.shipping.next_turn())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if waiting.done():
            return await waiting
        waiting.cancel()
        return None

    async def turns(self) -> list[Chunk]:
        """Return everything that may be sent without an acknowledgement."""
        sent = []
        while (chunks := await self.turn()) is not None:
            sent += chunks
        return sent

    def store(self, chunk: Chunk) -> int:
        """Store by the offset rule; return how much there is."""
        log = self.stored.setdefault(chunk.fence, bytearray())
        known = len(log) - chunk.offset
        if 0 <= known < len(chunk.data):
            log += chunk.data[known:]
        return len(log)

    def acknowledge(self, chunk: Chunk) -> None:
        offset = self.store(chunk)
        self.shipping.acknowledged(chunk.fence, offset, is_refused=False)

    async def ship(self) -> list[Chunk]:
        """Send and acknowledge until nothing is left."""
        sent = []
        while (chunks := await self.turn()) is not None:
            for chunk in chunks:
                self.acknowledge(chunk)
            sent += chunks
        return sent


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return Dock(tmp_path)


async def test_output_arrives_whole_in_chunks_of_one_stream(dock: Dock) -> None:
    data = random.Random(1).randbytes(3 * MIB)
    dock.write(1, data)
    dock.write(1, b"err", Stream.STDERR)
    dock.write(1, b"out")
    dock.end(1)
    sent = await dock.ship()
    assert dock.stored[1] == data + b"errout"
    assert max(len(chunk.data) for chunk in sent) == CHUNK_BYTES
    assert [chunk.stream for chunk in sent[-2:]] == [Stream.STDERR, Stream.STDOUT]
    assert (sent[0].execution_id, sent[0].attempt) == ("execution-1", 1)
    assert dock.settled == [1]
    assert 1 not in dock.shipping


async def test_small_frames_are_merged_and_keep_the_first_time(dock: Dock) -> None:
    for line in range(100):
        dock.write(1, b"%d\n" % line)
    (chunk,) = await dock.ship()
    assert chunk.data.splitlines()[-1] == b"99"
    assert chunk.time_us == 1


async def test_a_line_leaves_at_once_and_waits_for_no_more(dock: Dock) -> None:
    assert await dock.turn() is None
    dock.write(1, b"one\n")
    assert [chunk.data for chunk in await dock.turn() or ()] == [b"one\n"]
    assert await dock.turn() is None
    dock.write(1, b"two\n")
    assert [chunk.offset for chunk in await dock.turn() or ()] == [4]


async def test_an_attempt_without_output_is_settled_when_it_ends(dock: Dock) -> None:
    attempt = Attempt.of_lease(a_lease(1))
    dock.shipping.track(attempt, dock.directory / "nothing")
    assert 1 in dock.shipping
    dock.shipping.end(1, 0)
    assert dock.settled == [1]


async def test_what_is_in_flight_is_bounded(dock: Dock) -> None:
    for fence in (1, 2, 3):
        dock.write(fence, bytes(4 * MIB))
    sent = await dock.turns()
    per_attempt = [
        sum(len(chunk.data) for chunk in sent if chunk.fence == fence)
        for fence in (1, 2, 3)
    ]
    assert max(per_attempt) <= ATTEMPT_WINDOW_BYTES + CHUNK_BYTES
    assert WINDOW_BYTES <= sum(per_attempt) <= WINDOW_BYTES + 2 * CHUNK_BYTES
    for chunk in sent:
        dock.acknowledge(chunk)
    more = await dock.ship()
    assert {fence: len(log) for fence, log in dock.stored.items()} == dict.fromkeys(
        (1, 2, 3), 4 * MIB
    )
    assert more


async def test_a_quiet_attempt_is_not_kept_waiting_by_one_that_floods(
    dock: Dock,
) -> None:
    dock.write(1, bytes(16 * MIB))
    flood = await dock.turns()
    dock.write(2, b"a line\n")
    dock.acknowledge(flood[0])
    turns = [await dock.turn() for _ in range(2)]
    assert any(chunk.fence == 2 for chunks in turns for chunk in chunks or ())


async def test_a_new_stream_begins_at_what_is_acknowledged(dock: Dock) -> None:
    data = random.Random(2).randbytes(MIB)
    dock.write(1, data)
    first, second, *_ = await dock.turns()
    dock.acknowledge(first)
    dock.shipping.connected()
    again = await dock.turns()
    assert again[0].offset == second.offset
    dock.shipping.connected()
    dock.end(1)
    await dock.ship()
    assert dock.stored[1] == data
    assert dock.settled == [1]


async def test_an_offset_inside_a_frame_is_no_obstacle(dock: Dock) -> None:
    dock.write(1, bytes(range(256)) * 100)
    dock.shipping.acknowledged(1, 1001, is_refused=False)
    (chunk,) = await dock.turns()
    assert (chunk.offset, chunk.data[0]) == (1001, 1001 % 256)


async def test_a_new_process_learns_from_the_first_answer_how_far_it_was(
    dock: Dock,
) -> None:
    data = random.Random(3).randbytes(8 * MIB)
    dock.write(1, data)
    for _ in range(8):
        for chunk in await dock.turn() or ():
            dock.acknowledge(chunk)
    stored = len(dock.stored[1])
    assert stored >= 2 * MIB
    dock.restart()
    sent = await dock.turns()
    assert sent[0].offset == 0
    dock.acknowledge(sent[0])
    rest = await dock.ship()
    assert rest[0].offset == stored
    dock.end(1)
    assert dock.stored[1] == data


async def test_a_leader_that_lost_output_gets_it_again(dock: Dock) -> None:
    dock.write(1, bytes(MIB))
    sent = await dock.turns()
    for chunk in sent:
        dock.acknowledge(chunk)
    del dock.stored[1][1000:]
    dock.shipping.acknowledged(1, 1000, is_refused=False)
    assert (await dock.ship())[0].offset == 1000
    assert len(dock.stored[1]) == MIB


async def test_a_lost_acknowledgement_is_made_up_for_after_a_while(dock: Dock) -> None:
    dock.write(1, b"line\n")
    assert len(await dock.turns()) == 1
    dock.clock.advance(STALL_SECONDS - 1)
    dock.shipping.remind()
    assert await dock.turns() == []
    dock.clock.advance(2)
    dock.shipping.remind()
    assert [chunk.offset for chunk in await dock.turns()] == [0]


async def test_refused_output_is_dropped_and_settled_with_the_end(dock: Dock) -> None:
    dock.write(1, b"one\n")
    await dock.turns()
    dock.shipping.acknowledged(1, 0, is_refused=True)
    dock.write(1, b"two\n")
    assert await dock.turns() == []
    assert dock.settled == []
    dock.end(1)
    assert dock.settled == [1]


async def test_refused_output_gives_its_window_back(dock: Dock) -> None:
    for fence in range(1, 5):
        dock.write(fence, bytes(4 * MIB))
    await dock.turns()
    for fence in range(1, 4):
        dock.shipping.acknowledged(fence, 0, is_refused=True)
    sent = await dock.turns()
    assert {chunk.fence for chunk in sent} == {4}


async def test_damaged_bytes_are_replaced_by_a_remark_of_their_length(
    dock: Dock,
) -> None:
    for number in range(10):
        dock.write(1, b"%d" % number * 1000)
    spool = dock.directory / "1" / "spool"
    data = bytearray(spool.read_bytes())
    data[3 * 1032 + 500] ^= 1
    data[4 * 1032 + 5] ^= 1
    data[9 * 1032 + 700] ^= 1
    spool.write_bytes(data)
    dock.end(1)
    sent = await dock.ship()
    log = dock.stored[1]
    assert len(log) == 10_000
    assert log[:3000] == b"0" * 1000 + b"1" * 1000 + b"2" * 1000
    assert log[3000:5000].startswith(b"[2000 bytes of output were damaged")
    assert log[5000:9000] == b"".join(b"%d" % n * 1000 for n in range(5, 9))
    assert log[9000:].startswith(b"[1000 bytes of output were damaged")
    assert [c.stream for c in sent if c.data.startswith(b"[")] == [Stream.SYSTEM] * 2
    assert dock.settled == [1]


async def test_a_spool_that_is_gone_is_replaced_as_a_whole(dock: Dock) -> None:
    dock.write(1, bytes(300_000))
    (dock.directory / "1" / "spool").unlink()
    dock.end(1)
    await dock.ship()
    assert len(dock.stored[1]) == 300_000
    assert dock.settled == [1]


async def test_what_a_full_disk_had_no_room_to_say_is_said_on_the_way(
    dock: Dock,
) -> None:
    dock.write(1, b"before\n")
    dock.shipping.end(1, len(b"before\n") + len(UNSAID))
    sent = await dock.ship()
    assert dock.stored[1] == b"before\n" + UNSAID
    assert [chunk.stream for chunk in sent] == [Stream.STDOUT, Stream.SYSTEM]
    assert dock.settled == [1]


async def test_growth_that_is_not_to_be_seen_yet_is_waited_for(dock: Dock) -> None:
    dock.write(1, b"one\n")
    dock.shipping.grown(1, 100)
    assert [chunk.data for chunk in await dock.turns()] == [b"one\n"]
    dock.write(1, b"two\n")
    dock.shipping.grown(1, 200)
    assert [chunk.data for chunk in await dock.turns()] == [b"two\n"]


def test_the_size_of_a_spool_can_be_read_from_it(dock: Dock) -> None:
    assert spool_size(dock.directory / "none") == 0
    dock.write(1, bytes(100_000))
    assert spool_size(dock.directory / "1" / "spool") == 100_000


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_breaks_every_byte_arrives_in_its_place(
    dock: Dock, seed: int
) -> None:
    """Streams break, processes restart, acknowledgements are lost and repeated."""
    dice = random.Random(seed)
    written: dict[int, bytearray] = {fence: bytearray() for fence in (1, 2, 3)}
    for _ in range(150):
        match dice.randrange(8):
            case 0 | 1 | 2:
                fence = dice.choice((1, 2, 3))
                data = dice.randbytes(dice.choice((1, 50, 5_000, 400_000)))
                dock.write(fence, data, dice.choice((Stream.STDOUT, Stream.STDERR)))
                written[fence] += data
            case 3 | 4:
                for chunk in await dock.turn() or ():
                    if dice.random() < 0.7:
                        dock.acknowledge(chunk)
                    elif dice.random() < 0.5:
                        dock.store(chunk)
            case 5:
                dock.shipping.connected()
            case 6:
                dock.restart()
            case 7:
                for fence, log in dock.stored.items():
                    dock.shipping.acknowledged(fence, len(log), is_refused=False)
    dock.shipping.connected()
    for fence in dock.writers:
        dock.end(fence)
    await dock.ship()
    assert {f: bytes(log) for f, log in dock.stored.items()} == {
        f: bytes(data) for f, data in written.items() if data
    }
    assert sorted(dock.settled) == sorted(dock.writers)


async def test_output_that_nobody_can_name_is_not_shipped_and_holds_up_none(
    tmp_path: Path,
) -> None:
    dock = Dock(tmp_path)
    dock.write(1, b"named")
    # The keeper knows it; the journal's note of its start went with a power cut.
    nameless = Attempt(Ticket(2, "", 0, "", "", "", False))
    dock.shipping.track(nameless, tmp_path / "1" / "spool")
    dock.shipping.grown(2, 5)
    dock.shipping.end(2, 5)

    assert [chunk.fence for chunk in await dock.turns()] == [1]
    assert 2 not in dock.shipping
