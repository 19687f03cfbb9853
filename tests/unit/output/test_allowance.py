"""Room is given out in order, and comes back."""

from __future__ import annotations

import asyncio

import pytest

from jobs_grpc.controlplane.output.allowance import Allowance


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_fits_is_let_in_at_once() -> None:
    allowance = Allowance(max_bytes=10, max_count=2)
    await allowance.take(4)
    await allowance.take(6)
    assert (allowance.taken_bytes, allowance.taken_count) == (10, 2)


@pytest.mark.parametrize(("max_bytes", "max_count"), [(10, 99), (99, 2)])
async def test_who_finds_no_room_waits_in_line(max_bytes: int, max_count: int) -> None:
    allowance = Allowance(max_bytes=max_bytes, max_count=max_count)
    order: list[str] = []

    async def enter(name: str, size: int) -> None:
        await allowance.take(size)
        order.append(name)

    await allowance.take(5)
    await allowance.take(5)
    async with asyncio.TaskGroup() as group:
        group.create_task(enter("large", 9))
        await _settle()
        # It would fit, but it came later.
        group.create_task(enter("small", 1))
        await _settle()
        allowance.give_back(5)
        await _settle()
        assert order in ([], ["large"])
        allowance.give_back(5)
        await _settle()
        assert order == ["large", "small"]


async def test_what_is_too_large_for_ever_is_let_in_alone() -> None:
    allowance = Allowance(max_bytes=10, max_count=2)
    await allowance.take(11)
    assert allowance.taken_bytes == 11


async def test_who_stops_waiting_does_not_hold_up_the_line() -> None:
    allowance = Allowance(max_bytes=10, max_count=9)
    await allowance.take(8)
    large = asyncio.ensure_future(allowance.take(9))
    await _settle()
    small = asyncio.ensure_future(allowance.take(1))
    await _settle()
    large.cancel()
    await _settle()
    assert small.done()
    assert allowance.taken_bytes == 9


async def test_room_given_in_the_moment_of_a_cancel_comes_back() -> None:
    allowance = Allowance(max_bytes=10, max_count=9)
    await allowance.take(8)
    waiting = asyncio.ensure_future(allowance.take(9))
    await _settle()
    allowance.give_back(8)
    waiting.cancel()
    await _settle()
    assert waiting.cancelled()
    assert (allowance.taken_bytes, allowance.taken_count) == (0, 0)
