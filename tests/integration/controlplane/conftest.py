"""A control plane in this process, ended cleanly after each test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.calls import Calls
from support.plane import Plane
from support.until import until


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with Plane(tmp_path / "data") as made:
        yield made
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []
    await until(
        lambda: (
            not any(
                thread.name.startswith("sqlite-") for thread in threading.enumerate()
            )
        )
    )


@pytest.fixture
def calls(plane: Plane) -> Calls:
    return plane.calls
