"""Tells the leader that attempts have begun, unless they have ended by then.

Most quick work ends within milliseconds, and the report of its end tells its start as
well: one report instead of two, on every machine it passes through.
"""

from __future__ import annotations

import asyncio
from typing import Final

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.outbox import Outbox
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.work import ReportKind

# As long as `/bin/true` takes, and too short for anybody to miss it.
ANNOUNCE_SECONDS: Final = 0.003


class Announcer:
    """The attempts that have begun just now."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._young: list[Attempt] = []

    def begun(self, attempt: Attempt) -> None:
        """Announce the attempt soon."""
        if not self._young:
            loop = asyncio.get_running_loop()
            loop.call_later(ANNOUNCE_SECONDS, self._announce_when_quiet)
        self._young.append(attempt)

    def announce_now(self, attempt: Attempt) -> None:
        """There is more to tell of the attempt, so its start is told first."""
        if attempt in self._young:
            self._outbox.add(ReportKind.STARTED, attempt)

    def _announce_when_quiet(self) -> None:
        """Let everything that is ready have its turn first: it may be the end of them."""
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._announce)

    def _announce(self) -> None:
        young, self._young = self._young, []
        for attempt in young:
            if attempt.state is State.RUNNING:
                self._outbox.add(ReportKind.STARTED, attempt)
