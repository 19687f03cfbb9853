"""One worker's stream of output into the ingest, and the answers back.

A lane has two sides, for the two tasks of a gRPC stream: the reading task puts chunks in
and is held up while there is no room, the writing task takes acknowledgements out. Answers
are not queued: only the newest for each attempt is kept, so a worker that does not read its
acknowledgements costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from jobs_grpc.controlplane.output.allowance import Allowance
from jobs_grpc.controlplane.output.errors import OutputClosedError, OutputError
from jobs_grpc.controlplane.output.records import Ack, Chunk, LogKey

Admit: TypeAlias = Callable[["Lane", Chunk], Awaitable[None]]


class Lane:
    """Made by `Ingest.open_lane`."""

    def __init__(self, admit: Admit, *, max_bytes: int, max_chunks: int) -> None:
        self._admit = admit
        self._allowance = Allowance(max_bytes=max_bytes, max_count=max_chunks)
        self._news: dict[tuple[LogKey, int], Ack] = {}
        self._error: OutputError | None = None
        self._is_closed = False
        self._wake = asyncio.Event()

    async def put(self, chunk: Chunk) -> None:
        """Hand in a chunk; return when there was room for it, long before it is stored.

        Raises:
            OutputStorageError: an earlier chunk could not be stored: break the stream, and
                the worker sends again from the last acknowledgement.
            OutputClosedError: this process stops, or the lane was closed.
        """
        size = len(chunk.data)
        self._check()
        await self._allowance.take(size)
        try:
            self._check()
            await self._admit(self, chunk)
        except BaseException:
            self._allowance.give_back(size)
            raise

    async def acks(self) -> list[Ack]:
        """Wait for answers; return the newest for each attempt that has one.

        Empty means: the lane was closed and everything that was put is answered.

        Raises:
            OutputStorageError, OutputClosedError: there will be no more answers.
        """
        while not self._news:
            if self._error is not None:
                raise self._error
            if self._is_closed and self._allowance.taken_count == 0:
                return []
            self._wake.clear()
            await self._wake.wait()
        news = list(self._news.values())
        self._news.clear()
        return news

    def close(self) -> None:
        """Take no more chunks: the worker has closed its side."""
        self._is_closed = True
        self._wake.set()

    # From here on: for the ingest.

    def answer(self, ack: Ack) -> None:
        """Let the worker know."""
        self._news[ack.key, ack.fence] = ack
        self._wake.set()

    def fail(self, error: OutputError) -> None:
        """End the lane: something that was put is not stored."""
        self._error = self._error or error
        self._wake.set()

    def give_back(self, chunk: Chunk) -> None:
        """The chunk has left the ingest."""
        self._allowance.give_back(len(chunk.data))
        self._wake.set()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._is_closed:
            raise OutputClosedError
