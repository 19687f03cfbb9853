"""A whole output path on a real directory, ended cleanly after each test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.output.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """The output path, running."""
    async with Rig(tmp_path / "output") as rig:
        yield rig
    assert open_below(tmp_path) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("output-")]
    assert len(asyncio.all_tasks()) == 1


def open_below(folder: Path) -> list[str]:
    """Return the files below a folder that this process still holds open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        # The listing's own descriptor is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    return [path for path in found if path.startswith(str(folder))]
