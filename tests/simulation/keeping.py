"""The leader's store as disks and databases are: slow, full, and not sure what happened."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.storage.memory import MemoryStore
from jobs_grpc.controlplane.storage.store import StoreFailedError
from support.stage import finish

from .kernel import SECOND, Kernel
from .witness import Witness

_REFUSED: Final = "refused"
_WRITTEN: Final = "written"
_AMBIGUOUS: Final = "ambiguous"


class Pause:
    """What a commit awaits; the world sends in what becomes of it."""

    def __await__(self) -> Generator[Pause, str, str]:
        return (yield self)


class Keeping(MemoryStore):
    """Survives leaders. `commit` waits until the world says how it ends."""

    def __init__(self, kernel: Kernel, witness: Witness) -> None:
        super().__init__()
        self._kernel = kernel
        self._witness = witness
        self._random = kernel.random("store")
        self.checks_term = True
        # Faults: until when.
        self.full_until = -1
        self.slow_until = -1
        self.ambiguous_until = -1

    @property
    def is_full(self) -> bool:
        return self._kernel.now < self.full_until

    def delay(self) -> int:
        """Return how long the next commit takes."""
        if self._kernel.now < self.slow_until:
            return int(self._random.random() * 10 * SECOND)
        return 500 + int(self._random.random() * 8_000)

    def verdict(self) -> str:
        """Return what becomes of a commit."""
        if self.is_full:
            return _REFUSED
        if self._kernel.now < self.ambiguous_until and self._random.random() < 0.3:
            return _AMBIGUOUS
        return _WRITTEN

    def _check_term(self, term: int) -> None:
        if self.checks_term:
            super()._check_term(term)

    async def commit(self, term: int, changes: Changes) -> None:
        verdict = await Pause()
        if verdict == _REFUSED:
            raise StoreFailedError("the disk is full")
        self.write(term, changes)
        if verdict == _AMBIGUOUS:
            raise StoreFailedError("the disk does not say whether it has it")

    def write(self, term: int, changes: Changes) -> None:
        """Write now; the witness looks on."""
        finish(super().commit(term, changes))
        self._witness.committed(term, changes)
