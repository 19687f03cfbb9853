"""What waits to be told to the leader.

Reports are not queued one by one: the outbox remembers *which attempts* have news and
of which kinds, and a batch is made when the stream can take one. So a slow stream
makes the batches bigger and never the outbox, which holds an attempt at most once; and
news that has been overtaken is not sent at all (the end of an attempt tells its start).
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any, Final, NamedTuple

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.work import ReportKind

# One message of this many reports stays below 1 MiB with ordinary results.
BATCH: Final = 1_000
# Results may be 64 KiB each and a message 4 MiB at most.
BATCH_BYTES: Final = 2 * 1024 * 1024

_ORDER: Final = (ReportKind.STARTING, ReportKind.STARTED, ReportKind.PROGRESS)


class News(NamedTuple):
    """One report to make."""

    kind: ReportKind
    attempt: Attempt


class Outbox:
    """The attempts that have news, in the order in which they came by it."""

    def __init__(self) -> None:
        self._news: dict[int, tuple[Attempt, set[ReportKind]]] = {}
        self._ended: dict[int, Attempt] = {}
        self._stirred = asyncio.Event()

    def __len__(self) -> int:
        return len(self._news) + len(self._ended)

    def add(self, kind: ReportKind, attempt: Attempt) -> None:
        """There is news of an attempt."""
        if kind is ReportKind.FINISHED:
            self._news.pop(attempt.fence, None)
            self._ended[attempt.fence] = attempt
        else:
            kept = self._news.get(attempt.fence)
            if kept is None:
                self._news[attempt.fence] = (attempt, {kind})
            else:
                kept[1].add(kind)
        self._stirred.set()

    def remove(self, fence: int) -> None:
        """Nothing is to be told of this attempt any more."""
        self._news.pop(fence, None)
        self._ended.pop(fence, None)

    def clear(self) -> None:
        """Forget all: the next welcome says what is to be told."""
        self._news.clear()
        self._ended.clear()

    def stir(self) -> None:
        """Wake the writer, also without news."""
        self._stirred.set()

    async def wait(self) -> None:
        """Return when there may be something to write."""
        await self._stirred.wait()
        self._stirred.clear()

    def take(self, limit: int = BATCH) -> list[News]:
        """Remove and return the next batch; call again until it is empty.

        The ends come first: an end frees a slot of the whole system.
        """
        batch: list[News] = []
        size = 0
        for attempt in self._ended.values():
            if len(batch) == limit or size >= BATCH_BYTES:
                break
            batch.append(News(ReportKind.FINISHED, attempt))
            if attempt.result is not None:
                size += len(attempt.result.result_json) + len(attempt.result.error)
        _drop_first(self._ended, len(batch))
        taken = 0
        for attempt, kinds in self._news.values():
            if len(batch) >= limit:
                break
            batch.extend(News(kind, attempt) for kind in _ORDER if kind in kinds)
            taken += 1
        _drop_first(self._news, taken)
        return batch


def _drop_first(items: dict[int, Any], count: int) -> None:
    """Remove the oldest `count`. One by one from the front would be quadratic."""
    if count == len(items):
        items.clear()
    else:
        for fence in tuple(islice(items, count)):
            del items[fence]
