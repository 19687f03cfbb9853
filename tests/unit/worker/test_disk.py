from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from jobs_grpc.worker.config import SettingsError, read_settings
from jobs_grpc.worker.disk import DEFAULT_FLOOR, DiskGuard

GIB = 1 << 30


class Usage(NamedTuple):
    total: int
    free: int


class Watched:
    """A guard over a disk of the test's own making."""

    def __init__(self, floor: int | None, *, total: int = 1000 * GIB) -> None:
        self.total = total
        self.said: list[str] = []
        self.error: OSError | None = None
        self.free = total
        self._guard = DiskGuard(
            Path("/data"), floor, self.said.append, usage=self._usage
        )

    def _usage(self, _: Path) -> Usage:
        if self.error is not None:
            raise self.error
        return Usage(self.total, self.free)

    def with_free(self, free: int) -> list[str]:
        self.free, self.said[:] = free, []
        self._guard.run_once()
        return list(self.said)


def test_below_the_floor_no_work_is_taken_and_above_it_is_again() -> None:
    disk = Watched(100 << 20)
    assert disk.with_free(100 << 20) == []
    assert disk.with_free(99 << 20) == [
        "its disk has 99.0 MiB free, and is to keep 100.0 MiB"
    ]
    assert disk.with_free(50 << 20) == [], "said once"
    assert disk.with_free(101 << 20) == [], "it would be below again at once"
    assert disk.with_free(105 << 20) == [""]


@pytest.mark.parametrize(
    ("total", "floor"), [(1000 * GIB, DEFAULT_FLOOR), (20 << 20, 1 << 20)]
)
def test_the_default_is_a_gigabyte_or_a_twentieth(total: int, floor: int) -> None:
    disk = Watched(None, total=total)
    assert disk.with_free(floor) == []
    assert len(disk.with_free(floor - 1)) == 1


def test_without_a_floor_work_is_always_taken() -> None:
    assert Watched(0).with_free(0) == []


def test_a_disk_that_cannot_be_looked_at_takes_no_work() -> None:
    disk = Watched(0)
    disk.error = OSError(5, "Input/output error")
    assert disk.with_free(1) == ["its disk cannot be looked at: Input/output error"]
    disk.error = None
    assert disk.with_free(1) == [""]


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500MiB", 500 << 20), ("2 gib", 2 << 30), ("7", 7), ("64k", 64 << 10)],
)
def test_sizes_of_the_setting(text: str, size: int) -> None:
    assert read_settings(["--min-free-disk", text], {}).min_free_disk == size


@pytest.mark.parametrize("text", ["", "much", "-1", "5%", "1.5GiB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match="--min-free-disk: must be a size"):
        read_settings(["--min-free-disk", text], {})
