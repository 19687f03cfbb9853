"""The stream of output: what `Shipping` gives goes out, acknowledgements come back.

It lives and dies within a life of the session's stream, and when it breaks alone it is
opened again alone. Everything that was not acknowledged is sent again; see `shipping.py`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeAlias

from grpc import aio

from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.runtime.tasks import Supervisor
from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.worker.connection import convert
from jobs_grpc.worker.connection.calls import StreamEnd, read, write
from jobs_grpc.worker.shipping import Shipping

if TYPE_CHECKING:  # the stubs know it, the generated code does not
    from jobs_grpc.v1.worker_service_pb2_grpc import WorkerServiceAsyncStub

log = logging.getLogger(__name__)

Call: TypeAlias = aio.StreamStreamCall[wire.OutputChunk, wire.OutputAck]


async def push_output(stub: WorkerServiceAsyncStub, shipping: Shipping) -> None:
    """Ship output until cancelled."""
    backoff = Backoff(initial=0.2, cap=5.0)
    while True:
        call: Call = stub.PushOutput()
        shipping.connected()
        try:
            async with Supervisor() as tasks:
                tasks.start(_write(call, shipping), name="output-writer")
                ended = await _read(call, shipping, backoff)
        finally:
            call.cancel()
        log.debug("the stream of output ended: %s", ended)
        await asyncio.sleep(backoff.next_delay())


async def _write(call: Call, shipping: Shipping) -> None:
    while True:
        for piece in await shipping.next_turn():
            if not await write(call, convert.chunk(piece)):
                return


async def _read(call: Call, shipping: Shipping, backoff: Backoff) -> str:
    """Take acknowledgements in; return why the stream ended."""
    while True:
        ack = await read(call, wire.OutputAck)
        if isinstance(ack, StreamEnd):
            return ack.reason
        backoff.reset()
        shipping.acknowledged(ack.fence, ack.offset, is_refused=ack.refused)
