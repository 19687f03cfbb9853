"""Output from the workers: chunks in, acknowledgements out, both beside the core."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
from grpc.aio import EOF, ServicerContext

from jobs_grpc.controlplane.output import (
    Ack,
    Chunk,
    Ingest,
    Lane,
    LogKey,
    OutputError,
    OutputStorageError,
    Stream,
)
from jobs_grpc.controlplane.storage.store import StoreError
from jobs_grpc.v1 import worker_service_pb2 as pb
from jobs_grpc.v1.execution_pb2 import OutputStream
from jobs_grpc.wire.time import microseconds

from .push_fences import PushFences

_STREAMS: Final = {
    OutputStream.OUTPUT_STREAM_STDOUT: Stream.STDOUT,
    OutputStream.OUTPUT_STREAM_STDERR: Stream.STDERR,
    OutputStream.OUTPUT_STREAM_SYSTEM: Stream.SYSTEM,
}


class Pushing:
    """Serves the output streams of workers."""

    def __init__(self, ingest: Ingest, fences: PushFences) -> None:
        self._ingest = ingest
        self._fences = fences

    async def push(self, context: ServicerContext[Any, Any]) -> None:
        """Store what comes and say what is durable, until the worker ends the stream."""
        lane = self._ingest.open_lane()
        reader = asyncio.create_task(self._read(context, lane), name="output reader")
        try:
            while True:
                acks = await lane.acks()
                if not acks:
                    return
                for ack in acks:
                    await context.write(_message(ack))
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            lane.close()

    async def _read(self, context: ServicerContext[Any, Any], lane: Lane) -> None:
        try:
            while True:
                message = await context.read()
                if message is EOF:
                    break
                chunk = _chunk(message)
                if await self._fences.admit(chunk):
                    await lane.put(chunk)
                else:
                    lane.answer(
                        Ack(key=chunk.key, fence=chunk.fence, offset=0, refused=True)
                    )
        except grpc.RpcError:
            # A broken stream; what was put is stored all the same.
            return
        except OutputError as error:
            lane.fail(error)
        except StoreError as error:
            # Whose output it is cannot be told now; the worker keeps it and comes back.
            lane.fail(OutputStorageError("tell whose output it is", error))
        finally:
            lane.close()


def _chunk(message: pb.OutputChunk) -> Chunk:
    return Chunk(
        key=LogKey(message.execution_id, message.attempt),
        fence=message.fence,
        stream=_STREAMS.get(message.stream, Stream.SYSTEM),
        offset=message.offset,
        time_us=microseconds(message.time),
        data=message.data,
        dropped=range(message.dropped_from, message.dropped_to),
    )


def _message(ack: Ack) -> pb.OutputAck:
    return pb.OutputAck(fence=ack.fence, offset=ack.offset, refused=ack.refused)
