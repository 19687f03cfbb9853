"""Output to followers: from the log, then live, then the end and the outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from jobs_grpc.controlplane.core.rows.changes import ExecutionRow
from jobs_grpc.controlplane.core.state.effects import (
    ExecutionFinished,
    ExecutionLeased,
    Fact,
)
from jobs_grpc.controlplane.core.state.states import FINAL
from jobs_grpc.controlplane.leader.waiters import Waiters
from jobs_grpc.controlplane.output import (
    AttemptEnd,
    End,
    Gap,
    Lagged,
    Output,
    Piece,
    Stream,
)
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1.execution_pb2 import OutputStream
from jobs_grpc.wire.time import timestamp

from . import convert

_STREAMS: Final = {
    OutputStream.OUTPUT_STREAM_STDOUT: Stream.STDOUT,
    OutputStream.OUTPUT_STREAM_STDERR: Stream.STDERR,
    OutputStream.OUTPUT_STREAM_SYSTEM: Stream.SYSTEM,
}
_WORDS: Final = {ours: theirs for theirs, ours in _STREAMS.items()}


class Following:
    """Serves the followers of output."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._assigned = Waiters()
        # Of the executions that are followed now: the hub asks by id alone.
        self._followed: dict[str, tuple[str, int]] = {}
        self._output: Output | None = None

    def attach(self, output: Output) -> None:
        """Serve from this output; its hub asks `state_of` of this object."""
        self._output = output

    def notice(self, facts: Sequence[Fact]) -> None:
        """Learn from the leader's facts what followers wait for."""
        assert self._output is not None
        hub = self._output.hub
        if not self._assigned and not len(hub):
            return
        for fact in facts:
            if isinstance(fact, ExecutionLeased):
                self._assigned.ended(fact.execution.id)
            elif isinstance(fact, ExecutionFinished):
                self._assigned.ended(fact.execution.id)
                if fact.attempt:
                    hub.finish(
                        fact.execution.id,
                        fact.attempt,
                        output_bytes=fact.result.output_bytes,
                        final=True,
                        ended_at=fact.result.finished_at,
                    )

    async def state_of(self, execution_id: str, attempt: int) -> AttemptEnd | None:
        """Return how an attempt ended, as far as the store knows."""
        row = await self._row(execution_id)
        if row is None or row.attempt > attempt:
            # Long over; what its worker did not deliver by now is not waited for.
            return AttemptEnd(output_bytes=None, final=True, ended_at=0)
        if row.state not in FINAL:
            return None
        return AttemptEnd(
            output_bytes=row.output_bytes, final=True, ended_at=row.finished_at
        )

    async def follow(
        self, row: ExecutionRow, request: pb.FollowOutputRequest
    ) -> AsyncIterator[pb.FollowOutputResponse]:
        """Yield the output of an execution as the request wants it."""
        _, followers = self._followed.get(row.id, ("", 0))
        self._followed[row.id] = (row.namespace, followers + 1)
        try:
            async for message in self._follow(row, request):
                yield message
        finally:
            namespace, followers = self._followed.pop(row.id)
            if followers > 1:
                self._followed[row.id] = (namespace, followers - 1)

    async def _follow(
        self, row: ExecutionRow, request: pb.FollowOutputRequest
    ) -> AsyncIterator[pb.FollowOutputResponse]:
        assert self._output is not None
        if request.follow:
            row = await self._until_assigned(row)
        attempt = request.attempt or row.attempt
        if attempt == 0:
            yield self._end(row, End(log_complete=row.state in FINAL, next_offset=0))
            return
        follower = self._output.hub.follow(
            row.id,
            attempt,
            from_offset=request.from_offset,
            streams=[_STREAMS[one] for one in request.streams if one in _STREAMS],
            follow=request.follow,
        )
        async with follower:
            async for event in follower:
                if isinstance(event, End):
                    yield self._end(await self._row(row.id) or row, event)
                else:
                    yield _message(event)

    async def _until_assigned(self, row: ExecutionRow) -> ExecutionRow:
        while row.attempt == 0 and row.state not in FINAL:
            with self._assigned.expect(row.id) as assigned:
                # Read after the waiter stands, so that nothing slips between.
                row = await self._row(row.id) or row
                if row.attempt == 0 and row.state not in FINAL:
                    await assigned
                    row = await self._row(row.id) or row
        return row

    async def _row(self, execution_id: str) -> ExecutionRow | None:
        namespace, _ = self._followed.get(execution_id, ("", 0))
        found = await self._store.find_executions(
            namespace=namespace, prefix=execution_id, limit=1
        )
        return found[0] if found else None

    def _end(self, row: ExecutionRow, end: End) -> pb.FollowOutputResponse:
        return pb.FollowOutputResponse(
            end=pb.FollowOutputResponse.End(
                log_complete=end.log_complete,
                next_offset=end.next_offset,
                execution=convert.execution(row),
            )
        )


def _message(event: Piece | Gap | Lagged) -> pb.FollowOutputResponse:
    if isinstance(event, Lagged):
        return pb.FollowOutputResponse(
            lagged=pb.FollowOutputResponse.Lagged(offset=event.offset)
        )
    if isinstance(event, Gap):
        return pb.FollowOutputResponse(
            gap=pb.FollowOutputResponse.Gap(
                offset=event.offset, length=event.length, reason=event.reason.value
            )
        )
    return pb.FollowOutputResponse(
        piece=pb.OutputPiece(
            stream=_WORDS[event.stream],
            offset=event.offset,
            data=event.data,
            time=timestamp(event.time_us),
        )
    )
