"""The part of `_convert` that concerns output."""

from __future__ import annotations

from jobs_grpc.client import _convert
from jobs_grpc.client.records.output import (
    Gap,
    Lagged,
    OutputEnd,
    OutputPiece,
    OutputStream,
)
from jobs_grpc.v1 import execution_pb2, execution_service_pb2

_STREAMS = _convert._words(OutputStream, execution_pb2.OutputStream.items())


def to_stream(stream: OutputStream) -> execution_pb2.OutputStream.ValueType:
    return execution_pb2.OutputStream.Value(f"OUTPUT_STREAM_{stream.value.upper()}")


def output_event(
    message: execution_service_pb2.FollowOutputResponse,
) -> OutputPiece | Gap | Lagged | OutputEnd | None:
    """Return the event, or `None` for a kind that only a newer server knows."""
    match message.WhichOneof("event"):
        case "piece":
            piece = message.piece
            return OutputPiece(
                stream=_STREAMS.get(piece.stream, OutputStream.UNRECOGNIZED),
                offset=piece.offset,
                data=piece.data,
                time=_convert.instant_of(piece, "time"),
            )
        case "gap":
            gap = message.gap
            return Gap(offset=gap.offset, length=gap.length, reason=gap.reason)
        case "lagged":
            return Lagged(offset=message.lagged.offset)
        case "end":
            return OutputEnd(
                execution=_convert.execution(message.end.execution),
                next_offset=message.end.next_offset,
                log_complete=message.end.log_complete,
            )
        case _:
            return None
