"""A keeper shared by a module's tests, or one of its own; none leaves a process behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from integration.keeper.house import House


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("shared") / "keeper"
    yield root
    asyncio.run(House(root, root.parent).leave())


@pytest.fixture
async def house(shared_root: Path, tmp_path: Path) -> AsyncIterator[House]:
    """A place to run jobs in, for tests that do not care what else the keeper did."""
    made = House(shared_root, tmp_path, is_shared=True)
    yield made
    await made.leave()


@pytest.fixture
async def own_house(tmp_path: Path) -> AsyncIterator[House]:
    """A place to run jobs in, with a keeper that nobody else uses."""
    made = House(tmp_path / "keeper", tmp_path)
    yield made
    await made.leave()
