"""Attempts, links, traces and dead letters, from the contract's messages."""

from __future__ import annotations

from dataclasses import replace

from jobs_grpc.client._convert import (
    execution,
    instant_of,
    receipt_of,
    state_of,
    usage_of,
)
from jobs_grpc.client.records.execution import Attempt, Execution, ExecutionLink
from jobs_grpc.client.records.story import DeadLetter, Trace, TraceEntry
from jobs_grpc.v1 import (
    dead_letter_service_pb2,
    execution_pb2,
    execution_service_pb2,
)


def execution_story(message: execution_service_pb2.GetExecutionResponse) -> Execution:
    """Return an execution with what only `get` tells."""
    return replace(
        execution(message.execution),
        attempts=tuple(map(_attempt, message.attempts)),
        links=tuple(
            ExecutionLink(
                kind=one.kind, origin_id=one.origin_id, execution_id=one.execution_id
            )
            for one in message.links
        ),
        dead_letter_reason=message.dead_letter_reason,
        timed_out_by=message.timed_out_by,
    )


def _attempt(message: execution_pb2.Attempt) -> Attempt:
    return Attempt(
        attempt=message.attempt,
        fence=message.fence,
        worker=message.worker,
        leased_at=instant_of(message, "leased_at"),
        started_at=instant_of(message, "started_at"),
        finished_at=instant_of(message, "finished_at"),
        outcome=message.outcome,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal,
        error=message.error,
        usage=usage_of(message.usage) if message.HasField("usage") else None,
        output_bytes=message.output_bytes if message.HasField("output_bytes") else None,
        output_dropped=message.output_dropped,
        receipt=receipt_of(message.receipt) if message.HasField("receipt") else None,
    )


def trace(message: execution_service_pb2.TraceExecutionResponse) -> Trace:
    return Trace(
        execution_id=message.execution_id,
        state=state_of(message.state),
        entries=tuple(
            TraceEntry(
                at=instant_of(one, "at"),
                kind=one.kind,
                text=one.text,
                detail_json=one.detail_json,
            )
            for one in message.entries
        ),
    )


def dead_letter(message: dead_letter_service_pb2.DeadLetter) -> DeadLetter:
    return DeadLetter(
        execution_id=message.execution_id,
        namespace=message.namespace,
        workspace=message.workspace,
        job=message.job,
        failed_at=instant_of(message, "failed_at"),
        state=state_of(message.state),
        reason=message.reason,
        error=message.error,
        attempts=message.attempts,
    )
