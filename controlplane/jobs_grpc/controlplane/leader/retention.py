"""Decisions and ended pauses are kept for a while, then removed, a few at a time.

Who is authoritative: the term, like for every other write. A removal is a commit of its
own between those of the journal, and small, so that none of them waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from jobs_grpc.controlplane.core.rows.changes import Changes
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.runtime.clock import Clock

log = logging.getLogger(__name__)

BATCH: Final = 1_000
# Looked for this often, and at once again while there is more, with a breath between.
FIRST: Final = 60.0
EVERY: Final = 600.0
_BREATH: Final = 0.05


class Retention:
    """Removes what is older than `keep` microseconds, in one term."""

    def __init__(self, *, store: Store, clock: Clock, term: int, keep: int) -> None:
        self._store = store
        self._clock = clock
        self._term = term
        self._keep = keep

    async def run(self) -> None:
        """Remove until cancelled; a new term has better things to do at first."""
        await asyncio.sleep(FIRST)
        while True:
            removed = await self.run_once()
            await asyncio.sleep(_BREATH if removed == BATCH else EVERY)

    async def run_once(self) -> int:
        """Remove one batch; return how many decisions there were in it."""
        before = self._clock.now() - self._keep
        old = await self._store.old_decisions(before, BATCH)
        changes = Changes(
            deleted_decisions=tuple(old),
            # Once no decision is left that could point to them.
            forget_pauses_before=before if len(old) < BATCH else None,
        )
        await self._store.commit(self._term, changes)
        if old:
            log.info("%d decisions older than the retention were removed", len(old))
        return len(old)
