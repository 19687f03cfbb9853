from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.reign import Reign


@pytest.fixture
async def reign() -> AsyncIterator[Reign]:
    made = Reign()
    await made.begin()
    yield made
    await made.end()
