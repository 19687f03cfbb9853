"""What the parts of a worker are to one another.

The session decides, runners carry out, the journal and the shipping keep and carry away.
Each knows the others by these protocols only, so that each can be tried alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.work import Progress, Result


class Runner(Protocol):
    """What carries out attempts of one kind."""

    def reserve(self, attempt: Attempt) -> None:
        """Set aside what the journal is to know of before the attempt begins."""
        ...

    def begin(self, attempt: Attempt) -> None:
        """Start the work. Its end comes back through `Listener.ended`."""
        ...

    def cancel(self, attempt: Attempt) -> None:
        """Make it end; `attempt.stop_reason` says why. Its end is reported as ever."""
        ...

    def release(self, attempt: Attempt) -> None:
        """The leader has result and output: free what is on disk."""
        ...


class Listener(Protocol):
    """Who is told how attempts go (the session)."""

    def started(self, attempt: Attempt, at: int, pid: int = 0) -> None:
        """The work has begun."""
        ...

    def progressed(self, attempt: Attempt, progress: Progress) -> None:
        """The work says how far it is."""
        ...

    def ended(self, attempt: Attempt, result: Result, *, is_durable: bool) -> None:
        """The work has ended; `is_durable` where a record of that is on disk already."""
        ...


class ResultLog(Protocol):
    """What makes results durable (see `journal/`)."""

    def reserve(self, attempt: Attempt) -> bool:
        """Set room aside for the result of an attempt; False where the disk has none."""
        ...

    def unreserve(self, attempt: Attempt) -> None:
        """It will have no result."""
        ...

    def begin(self, attempts: Iterable[Attempt]) -> None:
        """Note that these attempts begin, before they do."""
        ...

    def end(self, attempt: Attempt) -> None:
        """Make the result of an attempt durable."""
        ...

    def keep(self, attempt: Attempt) -> None:
        """Note a result whose durable record is about to go."""
        ...

    def acknowledge(self, at: int, fences: Iterable[int]) -> None:
        """Note that the leader has these results."""
        ...

    def forget(self, fences: Iterable[int]) -> None:
        """Note that these attempts are forgotten."""
        ...

    def after_notes(self, callback: Callable[[], None]) -> None:
        """Call back when everything noted so far has been written."""
        ...


class Outputs(Protocol):
    """What ships output (see `shipping.py`)."""

    def __contains__(self, fence: int) -> bool:
        """Whether output of the attempt is still to be shipped."""
        ...

    def track(self, attempt: Attempt, spool: Path) -> None:
        """Ship what is, and what will be, in this spool. Harmless to repeat."""
        ...

    def grown(self, fence: int, size: int) -> None:
        """The spool holds this many bytes of output now."""
        ...

    def end(self, fence: int, total: int) -> None:
        """The attempt has ended with this many bytes of output."""
        ...
