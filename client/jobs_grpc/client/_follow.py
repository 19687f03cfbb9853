"""Output that goes on by itself.

Who is authoritative: the server's log. Every byte of an attempt has an offset, so the
follower only remembers the next offset it wants. When a stream breaks (a cut cable, a
restart, a new leader) it asks again from there, with growing pauses, and cuts off what it
has already handed on: nothing twice, nothing left out. It gives up when the server has
been away for longer than the client's patience, or says something final.

    stream ends by      what follows
    End, complete       the outcome; done
    End, not complete   the next request (the server goes away politely), or the next
                        attempt, when this one's log is complete and another one follows
    a broken stream     a pause, then the next request from the same offset
    a refusal           that exception
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import replace

from jobs_grpc.client import _convert_output
from jobs_grpc.client._errors import JobsError
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.output import (
    Gap,
    Lagged,
    OutputEnd,
    OutputPiece,
    OutputStream,
)
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1.execution_service_pb2_grpc import ExecutionServiceStub

# What gRPC says about streams of servers that died, besides UNAVAILABLE.
_BROKEN = frozenset({"UNKNOWN", "INTERNAL", "CANCELLED", "DEADLINE_EXCEEDED"})

OutputEvent = OutputPiece | Gap | Lagged | OutputEnd


class OutputFollower:
    """One pass over the output of one execution."""

    def __init__(
        self,
        transport: Transport,
        *,
        namespace: str,
        execution_id: str,
        attempt: int,
        offset: int,
        follow: bool,
        streams: Collection[OutputStream],
    ) -> None:
        self._transport = transport
        self._stub = ExecutionServiceStub(transport.channel)
        self._namespace = namespace
        self._execution_id = execution_id
        self._attempt = attempt
        self._offset = offset
        self._follow = follow
        self._incomplete_at = -1
        self._streams = [_convert_output.to_stream(stream) for stream in streams]

    async def events(self) -> AsyncGenerator[OutputEvent, None]:
        """Yield pieces and gaps in order, where it lagged, then the end."""
        loop = asyncio.get_running_loop()
        backoff = self._transport.backoff()
        last_heard = loop.time()
        while True:
            try:
                async with aclosing(self._one_stream()) as stream:
                    async for event in stream:
                        if isinstance(event, OutputEnd):
                            if self._is_the_end(event):
                                yield event
                                return
                            last_heard = loop.time()
                            break
                        backoff.reset()
                        yield event
                        last_heard = loop.time()
            except JobsError as problem:
                away = loop.time() - last_heard
                if not _is_broken(problem) or away > self._transport.patience:
                    raise
            await asyncio.sleep(backoff.next_delay())

    async def _one_stream(self) -> AsyncGenerator[OutputEvent, None]:
        request = pb.FollowOutputRequest(
            namespace=self._namespace,
            execution_id=self._execution_id,
            attempt=self._attempt,
            from_offset=self._offset,
            follow=self._follow,
            streams=self._streams,
        )
        async with aclosing(
            self._transport.stream(self._stub.FollowOutput, request)
        ) as messages:
            async for message in messages:
                event = _convert_output.output_event(message)
                if isinstance(event, OutputEnd):
                    yield event
                    return
                if isinstance(event, Lagged):
                    yield event
                    continue
                fresh = None if event is None else self._fresh_part(event)
                if fresh is not None:
                    yield fresh

    def _fresh_part(self, event: OutputPiece | Gap) -> OutputPiece | Gap | None:
        """Return what of the event lies at or after the wanted offset; want what follows."""
        length = event.length if isinstance(event, Gap) else len(event.data)
        known = max(0, self._offset - event.offset)
        if known >= length:
            return None
        self._offset = event.offset + length
        # Offsets are counted within one attempt; from now on it is this one.
        self._attempt = self._attempt or 1
        if not known:
            return event
        if isinstance(event, Gap):
            return replace(event, offset=event.offset + known, length=length - known)
        return replace(event, offset=event.offset + known, data=event.data[known:])

    def _is_the_end(self, end: OutputEnd) -> bool:
        if not self._follow:
            return True
        if end.execution.is_final:
            # An incomplete log may still grow; not so if it has not since the last time.
            is_stuck = self._incomplete_at == self._offset
            self._incomplete_at = self._offset
            return end.log_complete or is_stuck
        if end.log_complete:
            self._attempt, self._offset = (self._attempt or 1) + 1, 0
        return False


def _is_broken(problem: JobsError) -> bool:
    return problem.retriable or (not problem.reason and problem.code in _BROKEN)
