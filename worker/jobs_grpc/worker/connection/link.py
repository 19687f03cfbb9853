"""Keeps a stream to the leader, whatever happens to each.

Delays between tries are drawn from a growing window, so that workers that lost one
leader at one moment do not come back at one moment; a leader that sends its workers away
says itself when to come back, and where to.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from grpc import aio

from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.v1.worker_service_pb2_grpc import WorkerServiceStub
from jobs_grpc.wire.channel import CLIENT_OPTIONS
from jobs_grpc.worker.connection.stream import Ending, Parts, SessionStream

log = logging.getLogger(__name__)

# The same trouble is put into the log again after this long.
REPEAT_SECONDS: Final = 60.0


class LeaderLink:
    """The connection of one worker."""

    def __init__(
        self, address: str, parts: Parts, *, backoff: Backoff | None = None
    ) -> None:
        self._home = address
        self._address = address
        self._parts = parts
        self._backoff = backoff or Backoff()
        self._stream: SessionStream | None = None
        self._last_words = ""
        self._said_at = float("-inf")
        self._ended = asyncio.Event()
        self._is_parting = False

    async def run(self) -> None:
        """Connect, serve, reconnect; until `part`, or cancelled."""
        try:
            while not self._is_parting:
                ending = await self._live()
                if self._is_parting:
                    return
                delay = self._delay(ending)
                self._say(ending, delay)
                await asyncio.sleep(delay)
        finally:
            self._ended.set()

    async def part(self, goodbye: str | None) -> None:
        """Close the stream politely, if there is one, and wait for its end."""
        self._is_parting = True
        if self._stream is not None:
            self._stream.part(goodbye)
            await self._ended.wait()

    @property
    def is_connected(self) -> bool:
        """Whether a stream lives, or is about to."""
        return self._stream is not None

    async def _live(self) -> Ending:
        async with aio.insecure_channel(
            self._address, options=CLIENT_OPTIONS
        ) as channel:
            self._stream = SessionStream(WorkerServiceStub(channel), self._parts)
            try:
                return await self._stream.run()
            finally:
                self._stream = None

    def _delay(self, ending: Ending) -> float:
        if ending.was_welcomed:
            self._backoff.reset()
        # A leader names its successor; when that one is not there, ask at home again.
        self._address = ending.address or self._home
        if ending.reconnect_after is not None:
            return ending.reconnect_after
        return self._backoff.next_delay()

    def _say(self, ending: Ending, delay: float) -> None:
        now = self._parts.clock.monotonic()
        is_news = ending.reason != self._last_words or ending.was_welcomed
        if is_news or now - self._said_at >= REPEAT_SECONDS:
            self._last_words, self._said_at = ending.reason, now
            log.warning(
                "no connection to the control plane at %s: %s; trying again (in %.1fs)",
                self._address,
                ending.reason,
                delay,
            )
