from __future__ import annotations

import asyncio

from jobs_grpc.controlplane.leader.waiters import Waiters


async def test_everybody_who_waits_for_an_end_is_woken() -> None:
    waiters = Waiters()
    with waiters.expect("e1") as one, waiters.expect("e1") as two:
        assert waiters
        waiters.ended("e1")
        await asyncio.wait_for(asyncio.gather(one, two), timeout=5)
    assert not waiters


async def test_an_end_wakes_nobody_else() -> None:
    waiters = Waiters()
    with waiters.expect("e1") as one:
        waiters.ended("e2")
        await asyncio.sleep(0)
        assert not one.done()


async def test_an_end_that_nobody_awaits_is_nothing() -> None:
    waiters = Waiters()
    waiters.ended("e1")
    assert not waiters


async def test_who_gives_up_leaves_nothing_behind() -> None:
    waiters = Waiters()
    with waiters.expect("e1") as staying:
        with waiters.expect("e1") as leaving:
            pass
        assert leaving.cancelled()
        waiters.ended("e1")
        await asyncio.wait_for(staying, timeout=5)
    assert not waiters


async def test_a_wait_that_begins_after_the_end_is_its_callers_to_settle() -> None:
    waiters = Waiters()
    waiters.ended("e1")
    with waiters.expect("e1") as late:
        await asyncio.sleep(0)
        assert not late.done()
    assert not waiters
