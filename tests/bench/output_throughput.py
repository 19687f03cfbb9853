"""How fast output becomes durable, beside the same bytes written by hand.

Three workloads, each checked byte for byte afterwards:

    stream   one attempt, chunks of 64 KiB through a lane, with one follower
    replay   the same log read again by a late follower
    small    1,000 attempts of 200 bytes, every one acknowledged

The peers write the same bytes to plain files: one file with a sync for each MiB, and 1,000
files written and synced by four threads. Rounds alternate; the figure is the ratio.

    python tests/bench/output_throughput.py [--rounds 5] [--megabytes 64] [--out FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobs_grpc.controlplane.output import (
    AttemptEnd,
    Chunk,
    End,
    LogKey,
    Output,
    Piece,
    Stream,
)

CHUNK = 64 * 1024
MEGABYTE = 1024 * 1024
SMALL_LOGS = 1_000
SMALL_BYTES = 200


async def _stream(root: Path, data: bytes) -> dict[str, float]:
    key = LogKey("be" + "0" * 30, 1)
    end = AttemptEnd(output_bytes=len(data), final=True)

    async def state_of(_execution: str, _attempt: int) -> AttemptEnd | None:
        return end

    output = Output(root, state_of)
    running = asyncio.ensure_future(output.run())
    lane = output.ingest.open_lane()

    async def feed() -> float:
        started = time.perf_counter()
        for offset in range(0, len(data), CHUNK):
            await lane.put(_chunk(key, offset, data[offset : offset + CHUNK]))
        lane.close()
        durable = 0
        while news := await lane.acks():
            durable = news[-1].offset
        assert durable == len(data)
        return time.perf_counter() - started

    async def follow() -> float:
        started = time.perf_counter()
        digest = hashlib.sha256()
        async with output.hub.follow(key.execution_id, key.attempt) as follower:
            async for event in follower:
                if isinstance(event, Piece):
                    digest.update(event.data)
                elif isinstance(event, End):
                    assert event.log_complete
        assert digest.digest() == hashlib.sha256(data).digest()
        return time.perf_counter() - started

    durable, followed = await asyncio.gather(feed(), follow())
    replayed = await follow()
    await output.close()
    await running
    size = len(data) / MEGABYTE
    return {
        "stream, durable": size / durable,
        "stream, followed": size / followed,
        "replay": size / replayed,
    }


async def _small(root: Path) -> dict[str, float]:
    async def state_of(_execution: str, _attempt: int) -> AttemptEnd | None:
        return None

    output = Output(root, state_of)
    running = asyncio.ensure_future(output.run())
    lane = output.ingest.open_lane()
    data = os.urandom(SMALL_BYTES)

    async def acknowledge(names: list[str]) -> float:
        started = time.perf_counter()
        for name in names:
            await lane.put(_chunk(LogKey(name, 1), 0, data))
        left = set(names)
        while left:
            news = await lane.acks()
            assert all(ack.offset == SMALL_BYTES for ack in news)
            left -= {ack.key.execution_id for ack in news}
        return time.perf_counter() - started

    # The first file of a directory is slow to make; a server has made it long ago.
    await acknowledge(_names("warm"))
    names = _names("measured")
    seconds = await acknowledge(names)
    for name in names[::97]:
        [piece] = await output.store.read(name, 1, 0, SMALL_BYTES)
        assert isinstance(piece, Piece)
        assert piece.data == data
    await output.close()
    await running
    return {"small": SMALL_LOGS / seconds}


def _plain_stream(root: Path, data: bytes) -> float:
    started = time.perf_counter()
    descriptor = os.open(root / "plain", os.O_RDWR | os.O_CREAT)
    for offset in range(0, len(data), MEGABYTE):
        os.pwrite(descriptor, data[offset : offset + MEGABYTE], offset)
        os.fdatasync(descriptor)
    os.close(descriptor)
    return len(data) / MEGABYTE / (time.perf_counter() - started)


def _plain_small(root: Path) -> float:
    data = os.urandom(SMALL_BYTES)

    def write(part: list[str]) -> None:
        for name in part:
            path = root / name[:2] / name
            path.parent.mkdir(exist_ok=True, parents=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
            os.pwrite(descriptor, data, 0)
            os.fdatasync(descriptor)
            os.close(descriptor)

    with ThreadPoolExecutor(4) as threads:
        for occasion in ("warm", "measured"):
            names = _names(occasion)
            started = time.perf_counter()
            list(threads.map(write, [names[at::4] for at in range(4)]))
            seconds = time.perf_counter() - started
    return SMALL_LOGS / seconds


def _names(occasion: str) -> list[str]:
    numbers = range(SMALL_LOGS)
    return [hashlib.sha256(f"{occasion}{n}".encode()).hexdigest() for n in numbers]


def _chunk(key: LogKey, offset: int, data: bytes) -> Chunk:
    return Chunk(
        key=key, fence=1, stream=Stream.STDOUT, offset=offset, time_us=1, data=data
    )


def _round(data: bytes) -> dict[str, float]:
    figures: dict[str, float] = {}
    measures: list[Callable[[Path], dict[str, float]]] = [
        lambda root: {"plain stream": _plain_stream(root, data)},
        lambda root: asyncio.run(_stream(root, data)),
        lambda root: {"plain small": _plain_small(root)},
        lambda root: asyncio.run(_small(root)),
    ]
    for measure in measures:
        with tempfile.TemporaryDirectory() as directory:
            figures |= measure(Path(directory))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    data = os.urandom(options.megabytes * MEGABYTE)
    rounds = [_round(data) for _ in range(options.rounds)]
    units = {"plain small": "logs/s", "small": "acks/s"}
    peers = {
        "stream, durable": "plain stream",
        "stream, followed": "plain stream",
        "replay": "plain stream",
        "small": "plain small",
    }
    for name in rounds[0]:
        values = [one[name] for one in rounds]
        line = f"{name:18} {statistics.median(values):10,.0f} {units.get(name, 'MB/s')}"
        line += f"  ({min(values):,.0f} to {max(values):,.0f})"
        if name in peers:
            ratios = [one[name] / one[peers[name]] for one in rounds]
            line += f"  {statistics.median(ratios):.2f} x {peers[name]}"
        print(line)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"rounds": rounds}, indent=2))


if __name__ == "__main__":
    main()
