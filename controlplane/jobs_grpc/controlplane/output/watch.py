"""What the followers of one log have in common: how far it has come, how it ends.

A log has come to its end in one of two ways. **Complete**: the execution is final and
everything that the worker counted is stored. **Given up**: the execution is final, bytes
are missing or nobody knows how many there should be, and the log has not grown for the
grace. A worker that was cut off may still deliver meanwhile; one that died never will.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs_grpc.controlplane.output.records import AttemptEnd, Gap, GapReason, LogKey
from jobs_grpc.runtime.clock import SECOND, Clock


@dataclass(slots=True, kw_only=True)
class Watch:
    """Lives as long as the log has followers."""

    key: LogKey
    clock: Clock
    grace_seconds: float
    size: int = 0
    output_bytes: int | None = None
    is_final: bool = False
    # On the monotonic clock, once the end is known.
    gives_up_at: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every byte that there should be is stored."""
        return (
            self.is_final
            and self.output_bytes is not None
            and self.size >= self.output_bytes
        )

    @property
    def is_over(self) -> bool:
        """Whether a follower who has read everything stored should wait no more."""
        return self.is_complete or (
            self.gives_up_at is not None and self.clock.monotonic() >= self.gives_up_at
        )

    def missing_from(self, position: int) -> Gap | None:
        """Return what is known to be missing for somebody who has come so far."""
        begin = max(position, self.size)
        if self.output_bytes is None or self.output_bytes <= begin:
            return None
        length = self.output_bytes - begin
        return Gap(offset=begin, length=length, reason=GapReason.MISSING)

    def grow(self, size: int) -> None:
        """Learn how much is stored; old news is no news."""
        if size <= self.size:
            return
        self.size = size
        if self.gives_up_at is not None:
            self.gives_up_at = self.clock.monotonic() + self.grace_seconds

    def learn(self, end: AttemptEnd) -> None:
        """Learn about the end, from the execution's row or from the leader, in any order."""
        if end.output_bytes is not None:
            self.output_bytes = end.output_bytes
        if end.final and not self.is_final:
            self.is_final = True
            self.gives_up_at = self.clock.monotonic() + self._patience(end.ended_at)

    def _patience(self, ended_at: int | None) -> float:
        """Return what is left of the grace for an execution that ended then."""
        if ended_at is None:
            return self.grace_seconds
        past = (self.clock.now() - ended_at) / SECOND
        return self.grace_seconds - min(max(past, 0.0), self.grace_seconds)
