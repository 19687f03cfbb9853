"""Answers about due times, from the contract's message to the SDK's record."""

from __future__ import annotations

from jobs_grpc.client import _convert
from jobs_grpc.client.records.decision import DueTimeAnswer, DueTimeKind
from jobs_grpc.v1 import schedule_service_pb2

_DUE_TIME_KINDS = _convert._words(DueTimeKind, schedule_service_pb2.DueTimeKind.items())


def due_time_answer(
    message: schedule_service_pb2.ExplainDueTimeResponse,
) -> DueTimeAnswer:
    has = message.HasField
    return DueTimeAnswer(
        kind=_DUE_TIME_KINDS.get(message.kind, DueTimeKind.UNRECOGNIZED),
        sentence=message.sentence,
        schedule_id=message.schedule_id,
        schedule=message.schedule,
        due_at=_convert.instant_of(message, "due_at"),
        decision=_convert.decision(message.decision) if has("decision") else None,
        execution=_convert.execution(message.execution) if has("execution") else None,
        holder=_convert.execution(message.holder) if has("holder") else None,
        pause=_convert.pause(message.pause) if has("pause") else None,
        before=_convert.instant_of(message, "before"),
        after=_convert.instant_of(message, "after"),
    )
