"""Waiting for what nobody announces: other threads, processes, and remote state."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PATIENCE = 20.0


async def until(
    is_so: Callable[[], object | Awaitable[object]], *, seconds: float = PATIENCE
) -> None:
    """Wait until something is so; a test that waits in vain fails with a timeout."""
    async with asyncio.timeout(seconds):
        while True:
            answer = is_so()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(0.005)
