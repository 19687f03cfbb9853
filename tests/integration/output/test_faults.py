"""A disk that is full or fails: nothing is answered, nothing corrupt stays, it comes back."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.output.rig import Rig, all_acks
from jobs_grpc.controlplane.output import (
    Ack,
    LogKey,
    OutputStorageError,
    OutputStore,
    StoreSettings,
)
from unit.output.stand import FENCE, KEY, FaultyDisk, MemoryDisk, chunk, full, text_of

OTHER = LogKey("other", 1)


def _file(rig: Rig) -> Path:
    return rig.root / KEY.execution_id[:2] / KEY.file_name


def _break_writes(disk: FaultyDisk) -> None:
    disk.write_error = full()


def _break_syncs(disk: FaultyDisk) -> None:
    disk.sync_error = OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("break_it", [_break_writes, _break_syncs])
async def test_what_failed_is_not_answered_and_leaves_no_trace(
    rig: Rig, break_it: Callable[[FaultyDisk], None]
) -> None:
    await rig.push(chunk(b"before"))
    before = _file(rig).read_bytes()
    break_it(rig.disk)
    lane = rig.output.ingest.open_lane()
    await lane.put(chunk(b"while it fails", 6))
    with pytest.raises(OutputStorageError):
        await lane.acks()
    with pytest.raises(OutputStorageError):
        await lane.put(chunk(b"more", 20))
    assert rig.output.ingest.failure is not None
    assert _file(rig).read_bytes() == before
    rig.disk.write_error = rig.disk.sync_error = None
    assert await rig.push(chunk(b"after", 6)) == [Ack(key=KEY, fence=FENCE, offset=11)]
    assert rig.output.ingest.failure is None
    await rig.restart()
    read = await rig.output.store.read(KEY.execution_id, 1, 0, 100)
    assert text_of(read) == b"beforeafter"


async def test_one_bad_file_does_not_hold_up_the_others(rig: Rig) -> None:
    rig.disk.write_error = full()
    rig.disk.only = KEY.execution_id
    bad, good = rig.output.ingest.open_lane(), rig.output.ingest.open_lane()
    await bad.put(chunk(b"bad"))
    await good.put(chunk(b"good", key=OTHER))
    good.close()
    assert await all_acks(good) == [Ack(key=OTHER, fence=FENCE, offset=4)]
    with pytest.raises(OutputStorageError):
        await bad.acks()


async def test_a_file_that_cannot_be_cut_back_is_cut_before_the_next_write(
    rig: Rig,
) -> None:
    await rig.push(chunk(b"before"))
    rig.disk.write_error, rig.disk.cut_error = full(), full()
    [result] = await rig.output.store.append([chunk(bytes(500), 6)])
    assert result.error is not None
    rig.disk.write_error = rig.disk.cut_error = None
    await rig.push(chunk(b"after", 6))
    await rig.restart()
    read = await rig.output.store.read(KEY.execution_id, 1, 0, 1_000)
    assert text_of(read) == b"beforeafter"


async def test_a_probe_finds_out_that_the_disk_is_well_again(rig: Rig) -> None:
    ingest = rig.output.ingest
    rig.disk.write_error = full()
    lane = ingest.open_lane()
    await lane.put(chunk(b"x"))
    with pytest.raises(OutputStorageError):
        await lane.acks()
    await ingest.probe()
    assert ingest.failure is not None
    rig.disk.write_error = None
    await ingest.probe()
    assert ingest.failure is None
    assert not (rig.root / ".probe").exists()


async def test_a_log_that_cannot_be_read_is_no_empty_log(rig: Rig) -> None:
    await rig.write(b"hello")
    await rig.restart()
    rig.disk.read_error = OSError(errno.EIO, "Input/output error")
    store = rig.output.store
    with pytest.raises(OutputStorageError):
        await store.size(KEY.execution_id, 1)
    [result] = await store.append([chunk(b"hello", 0)])
    assert result.error is not None
    rig.disk.read_error = None
    assert await store.size(KEY.execution_id, 1) == 5


async def test_what_the_store_acknowledged_survives_the_power() -> None:
    """Names of files included; with every log forgotten as soon as it is stored."""
    disk = MemoryDisk()
    bounds = StoreSettings(known_logs=1, open_files=1)
    keys = [LogKey(f"{n:02d}", 1) for n in range(20)]
    for seed in range(10):
        store = OutputStore(Path("/output"), disk=disk, settings=bounds)
        results = await store.append([chunk(b"x", seed, key=key) for key in keys])
        assert [result.acks[0].offset for result in results] == [seed + 1] * len(keys)
        await store.close()
        disk.crash(random.Random(seed))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, if we may mount one."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


async def test_a_full_disk_takes_what_fits_and_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500 * 1024))
    store = OutputStore(small_disk / "output")
    data = os.urandom(800 * 1024)
    offset, failures = 0, 0
    while offset < len(data):
        [result] = await store.append([chunk(data[offset : offset + 50_000], offset)])
        if result.error is None:
            offset = result.acks[0].offset
            continue
        assert result.error.errno == errno.ENOSPC
        assert result.size == offset
        read = await store.read(KEY.execution_id, 1, 0, len(data))
        assert text_of(read) == data[:offset]
        failures += 1
        ballast.unlink()
        await store.probe()
    await store.close()
    assert failures == 1
    again = OutputStore(small_disk / "output")
    read = await again.read(KEY.execution_id, 1, 0, len(data))
    assert text_of(read) == data
    await again.close()
