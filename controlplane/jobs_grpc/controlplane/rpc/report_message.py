"""What workers report, as inputs of the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobs_grpc.controlplane.core.state.execution import Result
from jobs_grpc.controlplane.core.state.inputs import (
    Finished,
    Reports,
    Started,
    Starting,
)
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.v1 import worker_service_pb2 as pb
from jobs_grpc.wire.time import microseconds

from .convert import receipt_to_json

_MOVES: Final[Mapping[pb.AttemptOutcome.ValueType, Move]] = {
    pb.AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED: Move.SUCCEED,
    pb.AttemptOutcome.ATTEMPT_OUTCOME_FAILED: Move.FAIL,
    pb.AttemptOutcome.ATTEMPT_OUTCOME_TIMED_OUT: Move.TIME_OUT,
    pb.AttemptOutcome.ATTEMPT_OUTCOME_CANCELLED: Move.CANCEL,
    pb.AttemptOutcome.ATTEMPT_OUTCOME_LOST: Move.LOSE,
    # Whether it is cancelled or waits again depends on why it was not begun.
    pb.AttemptOutcome.ATTEMPT_OUTCOME_NOT_STARTED: Move.CANCEL,
}

_NOT_STARTED: Final = pb.AttemptOutcome.ATTEMPT_OUTCOME_NOT_STARTED


def reports_of(session_id: str, message: pb.Reports) -> Reports:
    """Return a batch of reports; kinds of a newer worker are passed over."""
    found: list[Starting | Started | Finished] = []
    for report in message.reports:
        kind = report.WhichOneof("report")
        if kind == "finished":
            found.append(Finished(report.fence, _result(report.finished)))
        elif kind == "started":
            found.append(Started(report.fence, microseconds(report.started.at)))
        elif kind == "starting":
            found.append(Starting(report.fence))
    return Reports(session_id, tuple(found))


def _result(message: pb.Finished) -> Result:
    started = usage = None
    if message.HasField("started_at"):
        started = microseconds(message.started_at)
    if message.HasField("usage"):
        usage = message.usage
    return Result(
        _MOVES.get(message.outcome, Move.FAIL),
        microseconds(message.finished_at),
        started,
        message.exit_code if message.HasField("exit_code") else None,
        message.signal,
        message.error,
        message.result_json,
        message.output_bytes,
        message.output_dropped,
        None if usage is None else microseconds(usage.cpu_user),
        None if usage is None else microseconds(usage.cpu_system),
        None if usage is None else usage.peak_memory_bytes,
        receipt_to_json(message.receipt) if message.HasField("receipt") else "",
        message.outcome == _NOT_STARTED,
    )
