"""What workers report, as inputs of the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobs_grpc.controlplane.core.execution import Result
from jobs_grpc.controlplane.core.inputs import Finished, Reports, Started, Starting
from jobs_grpc.controlplane.core.states import Move
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
    move = _MOVES.get(message.outcome, Move.FAIL)
    has_usage = message.HasField("usage")
    usage = message.usage
    return Result(
        move=move,
        started_at=(
            microseconds(message.started_at) if message.HasField("started_at") else None
        ),
        finished_at=microseconds(message.finished_at),
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal,
        error=message.error,
        result_json=message.result_json,
        output_bytes=message.output_bytes,
        output_dropped=message.output_dropped,
        cpu_user=microseconds(usage.cpu_user) if has_usage else None,
        cpu_system=microseconds(usage.cpu_system) if has_usage else None,
        peak_memory=usage.peak_memory_bytes if has_usage else None,
        receipt_json=(
            receipt_to_json(message.receipt) if message.HasField("receipt") else ""
        ),
        never_began=message.outcome == pb.AttemptOutcome.ATTEMPT_OUTCOME_NOT_STARTED,
    )
