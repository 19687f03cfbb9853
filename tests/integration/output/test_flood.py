"""Much output passes through little memory."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path

from integration.output.rig import Rig, all_acks
from jobs_grpc.controlplane.output import AttemptEnd, Piece
from unit.output.stand import chunk

MEGABYTE = 1024 * 1024
TOTAL = 64 * MEGABYTE
SIZE = 128 * 1024


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def test_64_mb_to_three_followers_in_less_memory_than_that(rig: Rig) -> None:
    block = random.Random(1).randbytes(MEGABYTE)
    expected = hashlib.sha256(block * (TOTAL // MEGABYTE)).digest()
    before = most = _resident()

    async def follow(pause: int) -> None:
        digest = hashlib.sha256()
        async for event in rig.follow():
            if isinstance(event, Piece):
                digest.update(event.data)
            for _ in range(pause):
                await asyncio.sleep(0)
        assert digest.digest() == expected

    async with asyncio.TaskGroup() as group:
        for pause in (0, 1, 20):
            group.create_task(follow(pause))
        lane = rig.output.ingest.open_lane()
        for offset in range(0, TOTAL, SIZE):
            at = offset % MEGABYTE
            await lane.put(chunk(block[at : at + SIZE], offset))
            most = max(most, _resident())
        lane.close()
        [ack] = await all_acks(lane)
        rig.end(AttemptEnd(output_bytes=TOTAL, final=True))
    assert ack.offset == TOTAL
    most = max(most, _resident())
    assert most - before < 32 * MEGABYTE
