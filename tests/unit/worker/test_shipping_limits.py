"""Output that is dropped over its limit while it is shipped, and files that go meanwhile."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.keeper.spool import (
    SpoolWriter,
    Stream,
)
from jobs_grpc.worker.keeper.spool_reader import (
    segments,
)
from jobs_grpc.worker.shipping import Shipping
from unit.worker.stand_ins import StillClock, a_lease

MIB = 1 << 20


class Harbor:
    """A spool that is written, shipped and stored by turns, and what is checked of it."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.limit = limit
        self.writer = SpoolWriter(directory, limit)
        self.spool = directory / "spool"
        self.written = b""
        self.stored: dict[int, int] = {}
        self.size = 0
        self.restart()

    def restart(self) -> None:
        """The process of the worker starts anew; the spool is there."""
        self.shipping = Shipping(StillClock())
        self.shipping.track(Attempt.of_lease(a_lease(1)), self.spool)
        self.shipping.grown(1, self.writer.size)

    def write(self, data: bytes) -> None:
        self.writer.write(Stream.STDOUT, memoryview(data), 1)
        self.written += data

    async def turn(self) -> bool:
        """Ship and store one turn; False when there is nothing to send now."""
        if not self.shipping._queue:
            return False
        for chunk in await self.shipping.next_turn():
            if chunk.dropped.start <= self.size < chunk.offset <= chunk.dropped.stop:
                self.size = chunk.offset
            assert chunk.offset <= self.size, "no hole that was not announced"
            end = chunk.offset + len(chunk.data)
            if chunk.stream is Stream.STDOUT:
                assert chunk.data == self.written[chunk.offset : end]
                if end > self.size:
                    self.stored[chunk.offset] = end
            else:
                assert b"damaged" not in chunk.data
            self.size = max(self.size, end)
        return True

    def acknowledge(self) -> None:
        self.shipping.acknowledged(1, self.size, is_refused=False)

    async def finish(self) -> None:
        """End the attempt, and ship until all is settled."""
        self.writer.finish(2)
        self.shipping.end(1, self.writer.size)
        for _ in range(10_000):
            await self.turn()
            self.acknowledge()
            if 1 not in self.shipping:
                return
        raise AssertionError("it is never settled")

    def covers(self, begin: int, end: int) -> bool:
        for at, stop in sorted(self.stored.items()):
            if at <= begin < stop:
                begin = stop
        return begin >= end


@pytest.mark.parametrize("seed", range(60))
async def test_first_and_last_bytes_arrive_whatever_is_dropped_meanwhile(
    tmp_path: Path, seed: int
) -> None:
    source = random.Random(seed)
    limit = source.choice([1_000, 30_000, 200_000])
    harbor = Harbor(tmp_path / "1", limit)
    while len(harbor.written) < 600_000:
        harbor.write(source.randbytes(source.choice([100, 8_192, 65_536])))
        if source.random() < 0.5:
            harbor.shipping.grown(1, harbor.writer.size)
        for _ in range(source.randint(0, 4)):
            if await harbor.turn() and source.random() < 0.7:
                harbor.acknowledge()
        if source.random() < 0.05:
            harbor.restart()
    await harbor.finish()
    total, head = len(harbor.written), limit // 2
    assert harbor.size == harbor.writer.size
    assert harbor.covers(0, head)
    assert harbor.covers(total - (limit - head), total)
    assert harbor.writer.dropped == total - limit


async def test_what_is_acknowledged_is_gone_from_the_disk_and_nobody_misses_it(
    tmp_path: Path,
) -> None:
    harbor = Harbor(tmp_path / "1", 64 * MIB)
    most = 0
    for n in range(40):
        harbor.write(random.Random(n).randbytes(MIB))
        harbor.shipping.grown(1, harbor.writer.size)
        while await harbor.turn():
            harbor.acknowledge()
        most = max(most, sum(one.stat().st_size for one in tmp_path.rglob("spool*")))
        if n == 30:
            assert segments(harbor.spool)[0].offset > 8 * MIB
            harbor.restart()
    assert most < 12 * MIB
    await harbor.finish()
    assert harbor.covers(0, 40 * MIB)
    assert harbor.writer.dropped == 0


async def test_a_leader_that_lost_what_was_freed_learns_that_it_is_gone(
    tmp_path: Path,
) -> None:
    harbor = Harbor(tmp_path / "1", 64 * MIB)
    harbor.write(random.Random(1).randbytes(20 * MIB))
    harbor.shipping.grown(1, harbor.writer.size)
    while await harbor.turn():
        harbor.acknowledge()
    # It was restored from an old copy.
    harbor.size = 2 * MIB
    harbor.stored = {0: 2 * MIB}
    harbor.acknowledge()
    await harbor.finish()
    assert harbor.size == harbor.writer.size
    assert harbor.covers(17 * MIB, 20 * MIB)
