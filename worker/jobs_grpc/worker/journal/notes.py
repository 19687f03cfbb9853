"""What is written soon, and together: results that are kept, acknowledgements, farewells.

None of it needs to be on disk before anything is told to the leader. But the keeper's
record of a process may only go when the result is noted here: without either, the next
process would take the attempt for one that was never begun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.journal import entries


@dataclass(slots=True)
class Notes:
    """Notes that wait to be written."""

    kept: list[Attempt] = field(default_factory=list)
    acknowledged: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    # What waits for them.
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.kept or self.acknowledged or self.forgotten)

    def encode(self) -> bytes:
        """Return them as entries, in the order in which they make sense."""
        if not self:
            return b""
        notes = [entries.ended(self.kept)]
        notes += [entries.acknowledged(at, fences) for at, fences in self.acknowledged]
        if self.forgotten:
            notes.append(entries.forgotten(self.forgotten))
        return b"".join(notes)

    def written(self) -> None:
        """They are in the file: let go on what waited for that."""
        self.kept.clear()
        self.acknowledged.clear()
        self.forgotten.clear()
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()
