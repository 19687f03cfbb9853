"""Answers about due times as messages."""

from __future__ import annotations

from jobs_grpc.controlplane.core.answers.due_times import Answer
from jobs_grpc.v1 import schedule_service_pb2 as pb
from jobs_grpc.wire.time import timestamp

from . import convert, pause_message


def answer(found: Answer) -> pb.ExplainDueTimeResponse:
    """Return an answer as the contract tells it."""
    message = pb.ExplainDueTimeResponse(
        kind=pb.DueTimeKind.Value(f"DUE_TIME_KIND_{found.kind.value.upper()}"),
        sentence=found.sentence,
    )
    if found.schedule is not None:
        message.schedule_id = found.schedule.spec.id
        message.schedule = found.schedule.spec.name
    if found.at is not None:
        message.due_at.CopyFrom(timestamp(found.at))
    if found.before is not None:
        message.before.CopyFrom(timestamp(found.before))
    if found.after is not None:
        message.after.CopyFrom(timestamp(found.after))
    if found.pause is not None:
        message.pause.CopyFrom(pause_message.pause(found.pause))
    recorded = found.recorded
    if recorded is not None:
        message.decision.CopyFrom(convert.decision(recorded.decision))
        if recorded.execution is not None:
            message.execution.CopyFrom(convert.execution(recorded.execution))
        if recorded.holder is not None:
            message.holder.CopyFrom(convert.execution(recorded.holder))
    return message
