"""How long to wait before the next try of something that failed.

Windowed jitter, as fleets need it: the delay is drawn from the whole window, and the
windows grow, so that clients that lost one server at one moment do not come back at one
moment (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Backoff:
    """Delays in seconds: uniform in [0, window), the window doubling up to `cap`."""

    initial: float = 0.5
    cap: float = 30.0
    source: random.Random = field(default_factory=random.Random)
    _window: float = 0.0

    def next_delay(self) -> float:
        """Return the next delay and widen the window."""
        self._window = min(self.cap, self._window * 2 if self._window else self.initial)
        return self.source.uniform(0, self._window)

    def reset(self) -> None:
        """Start over; call it after a success."""
        self._window = 0.0
