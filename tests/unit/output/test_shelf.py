"""Logs and files are kept at hand, within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs_grpc.controlplane.output import LogKey
from jobs_grpc.controlplane.output.log.descriptors import Descriptors
from jobs_grpc.controlplane.output.shelf import Shelf
from unit.output.stand import MemoryDisk, chunk

ROOT = Path("/output")
KEYS = [LogKey(f"job{n}", 1) for n in range(5)]


def test_a_log_lives_in_the_directory_of_its_first_letters() -> None:
    shelf = Shelf(ROOT, MemoryDisk(), limit=1)
    assert shelf.path_of(LogKey("7f3a", 2)) == ROOT / "7f" / "7f3a-2.log"


def test_the_log_unused_longest_is_forgotten() -> None:
    shelf = Shelf(ROOT, MemoryDisk(), limit=2)
    first, second, third = KEYS[:3]
    with shelf.using(first) as log:
        pass
    with shelf.using(second), shelf.using(first) as again:
        assert again is log
    with shelf.using(third):
        pass
    assert len(shelf) == 2
    with shelf.using(first) as again:
        assert again is log


def test_a_log_in_use_is_never_forgotten() -> None:
    shelf = Shelf(ROOT, MemoryDisk(), limit=1)
    with shelf.using(KEYS[0]) as log:
        for key in KEYS[1:]:
            with shelf.using(key):
                pass
        with shelf.using(KEYS[0]) as again:
            assert again is log


def test_a_log_that_knows_better_than_its_file_is_not_forgotten() -> None:
    disk = MemoryDisk()
    shelf = Shelf(ROOT, disk, limit=1)
    with shelf.using(KEYS[0]) as log:
        disk.fails_in = 1
        with pytest.raises(OSError, match="space"):
            log.write(log.plan([chunk(b"x", key=KEYS[0])]), Descriptors(disk, limit=1))
    for key in KEYS[1:]:
        with shelf.using(key):
            pass
    with shelf.using(KEYS[0]) as again:
        assert again is log


def test_a_removed_execution_is_forgotten_with_all_attempts() -> None:
    shelf = Shelf(ROOT, MemoryDisk(), limit=9)
    for attempt in (1, 2):
        with shelf.using(LogKey("gone", attempt)):
            pass
    with shelf.using(LogKey("gone-1", 1)):
        shelf.remove("gone")
    assert len(shelf) == 1


def test_a_busy_file_stays_open_and_the_idlest_is_closed() -> None:
    disk = MemoryDisk()
    descriptors = Descriptors(disk, limit=2)
    numbers: dict[str, int] = {}
    for name in ("a", "b", "a", "c"):
        with descriptors.borrow(ROOT / name) as descriptor:
            assert numbers.setdefault(name, descriptor) == descriptor
    assert len(descriptors) == disk.open_count == 2
    with descriptors.borrow(ROOT / "a") as descriptor:
        assert descriptor == numbers["a"]
    descriptors.close()
    assert disk.open_count == 0


def test_a_file_is_closed_after_an_error() -> None:
    disk = MemoryDisk()
    descriptors = Descriptors(disk, limit=2)
    with pytest.raises(OSError, match="broken"), descriptors.borrow(ROOT / "a"):
        raise OSError("broken")
    assert disk.open_count == len(descriptors) == 0


def test_a_discarded_file_is_closed() -> None:
    disk = MemoryDisk()
    descriptors = Descriptors(disk, limit=2)
    with descriptors.borrow(ROOT / "a"):
        pass
    descriptors.discard(ROOT / "a")
    descriptors.discard(ROOT / "never opened")
    assert disk.open_count == 0
