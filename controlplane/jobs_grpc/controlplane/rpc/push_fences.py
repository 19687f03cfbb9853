"""Whose output may be stored: the fences that the control plane knows.

A fence is current while the core holds its lease, or has lost it and would still believe
its result. Output and results travel apart, so bytes of an attempt also come after its
end is committed, and after a retry has followed it: then the store still knows its fence.
Anything else was never leased, or its lease was taken back and the work given to another
attempt; such bytes are refused, and the worker drops them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from jobs_grpc.controlplane.core.state.effects import ReportRefused
from jobs_grpc.controlplane.core.state.states import FINAL, State
from jobs_grpc.controlplane.leader.journal import NotLeadingError
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.output import Chunk
from jobs_grpc.controlplane.storage.store import Store

# Verdicts that cannot change any more are remembered, the newest of them.
_REMEMBERED: Final = 4_096
# What the store says of an attempt whose lease was taken back.
_TAKEN_BACK: Final = "released"
_SETTLED: Final = FINAL - {State.LOST}


class PushFences:
    """Judges the fences of output. One event loop only."""

    def __init__(
        self, leader: Leader, store: Store, refused: Callable[[ReportRefused], None]
    ) -> None:
        """`refused` hears of every fence that is refused, once while it is remembered."""
        self._leader = leader
        self._store = store
        self._refused = refused
        self._verdicts: OrderedDict[tuple[int, str, int], bool] = OrderedDict()

    async def admit(self, chunk: Chunk) -> bool:
        """Return whether the chunk's fence holds the attempt whose output it says it is.

        Raises:
            StoreError: that cannot be known now.
        """
        if self._is_held(chunk):
            return True
        claim = (chunk.fence, chunk.key.execution_id, chunk.key.attempt)
        known = self._verdicts.get(claim)
        if known is not None:
            return known
        row = await self._store.execution(chunk.key.execution_id)
        mine = (chunk.fence, chunk.key.attempt)
        is_current = row is not None and (
            (row.fence, row.attempt) == mine
            # An attempt that ended, and was followed by a retry.
            or any(
                (one.fence, one.attempt) == mine and one.outcome != _TAKEN_BACK
                for one in await self._store.attempts(row.seq)
            )
        )
        if not is_current:
            self._remember(claim, verdict=False)
            self._refused(ReportRefused("", chunk.fence, "output"))
        elif row is not None and row.state in _SETTLED:
            self._remember(claim, verdict=True)
        return is_current

    def _is_held(self, chunk: Chunk) -> bool:
        try:
            live = self._leader.core.live
        except NotLeadingError:
            return False
        execution = live.by_fence.get(chunk.fence) or live.lost.get(chunk.fence)
        return (
            execution is not None
            and execution.id == chunk.key.execution_id
            and execution.attempt == chunk.key.attempt
        )

    def _remember(self, claim: tuple[int, str, int], *, verdict: bool) -> None:
        self._verdicts[claim] = verdict
        if len(self._verdicts) > _REMEMBERED:
            self._verdicts.popitem(last=False)
