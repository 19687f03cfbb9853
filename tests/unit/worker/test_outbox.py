from __future__ import annotations

import asyncio

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.outbox import BATCH_BYTES, Outbox
from jobs_grpc.worker.work import ReportKind
from unit.worker.stand_ins import a_lease, a_result, told


def an_attempt(fence: int) -> Attempt:
    return Attempt.of_lease(a_lease(fence))


def test_everything_that_waits_leaves_in_one_batch_with_the_ends_first() -> None:
    outbox = Outbox()
    one, two, three = map(an_attempt, (1, 2, 3))
    outbox.add(ReportKind.STARTED, one)
    outbox.add(ReportKind.STARTING, two)
    outbox.add(ReportKind.FINISHED, three)
    assert told(outbox.take()) == [("finished", 3), ("started", 1), ("starting", 2)]
    assert outbox.take() == []


def test_an_end_overtakes_what_was_to_be_told_before_it() -> None:
    outbox = Outbox()
    one = an_attempt(1)
    outbox.add(ReportKind.STARTED, one)
    outbox.add(ReportKind.PROGRESS, one)
    outbox.add(ReportKind.FINISHED, one)
    assert told(outbox.take()) == [("finished", 1)]


def test_repeated_news_of_an_attempt_is_told_once_and_in_order() -> None:
    outbox = Outbox()
    one = an_attempt(1)
    for kind in (ReportKind.PROGRESS, ReportKind.STARTED, ReportKind.PROGRESS):
        outbox.add(kind, one)
    assert told(outbox.take()) == [("started", 1), ("progress", 1)]


def test_a_batch_has_a_limit_and_the_rest_follows() -> None:
    outbox = Outbox()
    for fence in range(25):
        outbox.add(ReportKind.FINISHED, an_attempt(fence))
    sizes = [len(outbox.take(10)) for _ in range(4)]
    assert sizes == [10, 10, 5, 0]


def test_large_results_make_small_batches() -> None:
    outbox = Outbox()
    for fence in range(100):
        attempt = an_attempt(fence)
        attempt.result = a_result(result_json="x" * 65_536)
        outbox.add(ReportKind.FINISHED, attempt)
    first = outbox.take()
    assert len(first) == BATCH_BYTES // 65_536
    assert len(outbox) == 100 - len(first)


def test_what_was_removed_or_cleared_is_not_told() -> None:
    outbox = Outbox()
    outbox.add(ReportKind.FINISHED, an_attempt(1))
    outbox.add(ReportKind.STARTED, an_attempt(2))
    outbox.remove(1)
    assert told(outbox.take()) == [("started", 2)]
    outbox.add(ReportKind.FINISHED, an_attempt(3))
    outbox.clear()
    assert outbox.take() == []


async def test_news_wakes_the_writer_once() -> None:
    outbox = Outbox()
    outbox.add(ReportKind.STARTED, an_attempt(1))
    outbox.add(ReportKind.STARTED, an_attempt(2))
    await outbox.wait()
    waiting = asyncio.ensure_future(outbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.stir()
    await waiting
