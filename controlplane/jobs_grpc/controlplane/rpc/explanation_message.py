"""Explanations as messages."""

from __future__ import annotations

from jobs_grpc.controlplane.core.answers.explaining import Explanation
from jobs_grpc.controlplane.core.state.reasons import Reason
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.wire.time import timestamp

from .convert import state_from_word


def explanation(found: Explanation) -> pb.ExplainExecutionResponse:
    """Return an explanation as the contract tells it."""
    return pb.ExplainExecutionResponse(
        execution_id=found.execution_id,
        state=state_from_word(found.state),
        summary=found.summary,
        reasons=[_reason(one) for one in found.reasons],
        line=found.line,
        place=found.place,
        waiting=found.waiting,
    )


def _reason(one: Reason) -> pb.WaitReason:
    return pb.WaitReason(
        cause=pb.WaitCause.Value(f"WAIT_CAUSE_{one.cause.value.upper()}"),
        text=one.text,
        holder_ids=one.holders,
        workers=one.workers,
        until=None if one.until is None else timestamp(one.until),
    )
