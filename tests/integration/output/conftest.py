"""A whole output path on a real directory, ended cleanly after each test."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.output.bench import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """The output path, running."""
    files = len(os.listdir("/proc/self/fd"))
    async with Bench(tmp_path / "output") as bench:
        yield bench
    assert len(os.listdir("/proc/self/fd")) == files
    assert not [t for t in threading.enumerate() if t.name.startswith("output-")]
    assert len(asyncio.all_tasks()) == 1
