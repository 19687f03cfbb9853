from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest_asyncio
import uvloop

from integration.worker.host import Host
from support.fake_leader import FakeLeader


def pytest_asyncio_loop_factories() -> Mapping[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """The worker runs on uvloop, so its tests do."""
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[FakeLeader]:
    async with FakeLeader() as leader:
        yield leader


@pytest_asyncio.fixture
async def host(leader: FakeLeader, tmp_path: Path) -> AsyncIterator[Host]:
    """A host for workers of `leader`; it fails a test that leaves a process behind."""
    made = Host(leader, tmp_path / "data")
    yield made
    await made.clear()
