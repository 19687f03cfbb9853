"""How long a worker may be silent, and so how often it speaks.

A heartbeat costs the leader what a message costs, however idle the worker, and gRPC alone
takes more than a quarter of a core for ten thousand workers that speak every ten seconds
(`make bench GOALS=P7` has a bare echo beside the server).
So the time that sessions live grows with the fleet, and `RATE` beats come in a second at
most (HashiCorp Nomad's `max_heartbeats_per_second` does the same). Nothing changes for
fleets of up to four thousand.

A worker begins work for as long as it trusts its session, so the longer time is in force
here, and written down, before a worker hears of it; a leader that stands in for workers of
an earlier term waits as long as that one had promised.
"""

from __future__ import annotations

from typing import Final

from jobs_grpc.controlplane.core.rows.changes import MetaRow
from jobs_grpc.controlplane.core.state.draft import Draft

KEY: Final = "session_ttl"
# So many beats may be missed before a session ends.
BEATS: Final = 3
# Beats in a second, of all workers together.
RATE: Final = 400
_SECOND: Final = 1_000_000
# It grows by such parts of itself, so that it is seldom written.
_PARTS: Final = 4


class SessionTime:
    """The time to live of sessions, in microseconds: as the server was told, or longer."""

    def __init__(self, usual: int, stored: str = "") -> None:
        self.current = usual
        # What workers of this term or an earlier one may still count on.
        self.promised = max(usual, _number(stored))
        self._usual = usual
        self._stored = _number(stored)
        self._begun: int | None = None

    @property
    def owed(self) -> int:
        """How long workers of earlier terms may take to come back; 0 if there were none."""
        return self._stored

    def grow(self, draft: Draft, sessions: int) -> None:
        """Make it long enough for so many sessions; within a term it never shrinks."""
        needed = sessions * BEATS * _SECOND // RATE
        if needed > self.current:
            part = self._usual // _PARTS
            self.current = -(-needed // part) * part
        if self.current > self._stored:
            self.promised = max(self.promised, self.current)
            self._store(draft, self.promised)

    def expire(self, draft: Draft) -> None:
        """Forget what earlier terms promised, once nobody can count on it any more."""
        if self._begun is None:
            self._begun = draft.now
        if self.promised > self.current and draft.now - self._begun > self.promised:
            self.promised = self.current
            self._store(draft, self.current)

    def _store(self, draft: Draft, time: int) -> None:
        self._stored = time
        draft.meta.append(MetaRow(KEY, str(time)))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
