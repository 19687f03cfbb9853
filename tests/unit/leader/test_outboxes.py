from __future__ import annotations

import asyncio

from jobs_grpc.controlplane.core.state.effects import (
    ResultKept,
    SessionGone,
    SessionWelcomed,
    StartGranted,
)
from jobs_grpc.controlplane.leader.outboxes import (
    HELLOS_PER_SECOND,
    BeatEchoed,
    Outbox,
    Outboxes,
    SentAway,
)


def welcome(outboxes: Outboxes, session: str = "s1") -> Outbox:
    outbox = outboxes.open()
    outboxes.deliver(SessionWelcomed(session, outbox.stream, ()))
    return outbox


async def drained(outbox: Outbox) -> list[object]:
    return [*await asyncio.wait_for(outbox.take(), timeout=5)]


async def test_messages_go_to_the_stream_of_their_session_in_order() -> None:
    outboxes = Outboxes()
    mine, theirs = welcome(outboxes, "s1"), welcome(outboxes, "s2")
    for fence in range(3):
        outboxes.deliver(StartGranted("s1", fence))
    outboxes.deliver(ResultKept("s2", 7))
    assert await drained(mine) == [
        SessionWelcomed("s1", mine.stream, ()),
        *(StartGranted("s1", fence) for fence in range(3)),
    ]
    assert (await drained(theirs))[1:] == [ResultKept("s2", 7)]


async def test_taking_waits_for_the_first_message() -> None:
    outboxes = Outboxes()
    outbox = welcome(outboxes)
    await drained(outbox)
    waiting = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put(BeatEchoed(1))
    assert await waiting == [BeatEchoed(1)]


async def test_messages_for_a_session_without_a_stream_are_dropped() -> None:
    outboxes = Outboxes()
    outbox = welcome(outboxes)
    outboxes.close(outbox)
    outboxes.deliver(StartGranted("s1", 1))
    outboxes.deliver(StartGranted("nobody", 1))
    again = welcome(outboxes)
    assert await drained(again) == [SessionWelcomed("s1", again.stream, ())]
    assert len(outboxes) == 1


async def test_a_welcome_for_a_stream_that_is_gone_is_dropped() -> None:
    outboxes = Outboxes()
    gone = outboxes.open()
    outboxes.close(gone)
    outboxes.deliver(SessionWelcomed("s1", gone.stream, ()))
    outboxes.deliver(StartGranted("s1", 1))
    assert len(outboxes) == 0


async def test_a_newer_stream_of_a_session_sends_the_older_one_away() -> None:
    outboxes = Outboxes()
    old = welcome(outboxes)
    await drained(old)
    new = welcome(outboxes)
    outboxes.deliver(StartGranted("s1", 1))
    (away,) = await drained(old)
    assert isinstance(away, SentAway)
    assert (await drained(new))[1:] == [StartGranted("s1", 1)]


async def test_the_end_of_the_older_stream_leaves_the_newer_one_bound() -> None:
    outboxes = Outboxes()
    old = welcome(outboxes)
    new = welcome(outboxes)
    outboxes.close(old)
    outboxes.deliver(SessionGone("s1"))
    assert (await drained(new))[-1] == SessionGone("s1")


async def test_all_can_be_sent_away_even_before_their_welcome() -> None:
    outboxes = Outboxes()
    greeted, fresh = welcome(outboxes), outboxes.open()
    outboxes.send_all_away("the leader changes", 0.5)
    assert (await drained(greeted))[-1] == SentAway("the leader changes", 0.5)
    # Not all at one moment.
    later = 0.5 + 1 / HELLOS_PER_SECOND
    assert await drained(fresh) == [SentAway("the leader changes", later)]
