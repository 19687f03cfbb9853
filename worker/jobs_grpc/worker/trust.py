"""How long this worker may believe that its leases are still its own.

The leader takes a session's leases back when it has not heard a heartbeat for the
session's time to live. The worker must stop *beginning* work earlier than that, by a
clock of its own: it counts from the moment it **sent** the last heartbeat that was
acknowledged, so a slow answer can only shorten the window, and leaves a margin. Work that
has begun is not stopped by this: a broken stream is not a failed job.

::

    sent ──────────── acknowledged ─────────────────── until │ margin │ leader gives up
     └──────────────────────── session_ttl ──────────────────┴────────┘
"""

from __future__ import annotations

from typing import Final

from jobs_grpc.runtime.clock import Clock

# Covers a stalled loop and the clocks' drift in one window; a sixth of the default
# time to live, and no more of a shorter one.
MARGIN_SECONDS: Final = 5.0
_MARGIN_SHARE: Final = 6


class Trust:
    """The window in which work may begin."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._ttl = 0.0

    def grant(self, sent_at: float, ttl_seconds: float) -> None:
        """A session was opened or resumed by a hello of `sent_at`."""
        self._ttl = ttl_seconds
        self.renew(sent_at)

    def renew(self, sent_at: float) -> None:
        """A heartbeat that was sent at `sent_at` has been acknowledged."""
        margin = min(MARGIN_SECONDS, self._ttl / _MARGIN_SHARE)
        self._until = max(self._until, sent_at + self._ttl - margin)

    def lengthen(self, ttl_seconds: float) -> None:
        """The leader gives sessions more time than it had said."""
        self._ttl = ttl_seconds

    def holds(self) -> bool:
        """Whether work may begin now."""
        return self._clock.monotonic() < self._until
