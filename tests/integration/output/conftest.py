"""A whole output path on a real directory, ended cleanly after each test."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.output.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """The output path, running."""
    files = len(os.listdir("/proc/self/fd"))
    async with Rig(tmp_path / "output") as rig:
        yield rig
    assert len(os.listdir("/proc/self/fd")) == files
    assert not [t for t in threading.enumerate() if t.name.startswith("output-")]
    assert len(asyncio.all_tasks()) == 1
