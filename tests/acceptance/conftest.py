"""Each test has a product of its own, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.installed import Installed, processes_with, until


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    """Give an empty directory and an address; nothing is started yet."""
    product = Installed(tmp_path)
    yield product
    product.stop()
    until(lambda: not processes_with(str(tmp_path)), "every process to be gone")


@pytest.fixture
def system(installed: Installed) -> Installed:
    """Give a running server with one worker of four slots."""
    installed.start_server()
    installed.start_worker()
    return installed
