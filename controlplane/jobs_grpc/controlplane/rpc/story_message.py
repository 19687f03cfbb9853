"""Attempts, links, dead letters and traces as messages."""

from __future__ import annotations

import json

from jobs_grpc.controlplane.core.answers.tracing import Entry
from jobs_grpc.controlplane.core.rows.story import AttemptRow, DeadLetterRow, LinkRow
from jobs_grpc.v1 import dead_letter_service_pb2, execution_pb2, execution_service_pb2
from jobs_grpc.wire.time import timestamp

from .convert import put_ending, state_from_word


def attempt(row: AttemptRow) -> execution_pb2.Attempt:
    """Return an attempt as the contract tells it."""
    message = execution_pb2.Attempt(
        attempt=row.attempt,
        fence=row.fence,
        worker=row.worker,
        outcome=row.outcome,
        signal=row.signal,
        error=row.error,
        output_dropped=row.output_dropped,
    )
    if row.leased_at is not None:
        message.leased_at.CopyFrom(timestamp(row.leased_at))
    if row.started_at is not None:
        message.started_at.CopyFrom(timestamp(row.started_at))
    if row.finished_at:
        message.finished_at.CopyFrom(timestamp(row.finished_at))
    put_ending(message, row)
    return message


def link(row: LinkRow) -> execution_pb2.ExecutionLink:
    """Return who follows whom."""
    return execution_pb2.ExecutionLink(
        kind=row.kind, origin_id=row.origin_id, execution_id=row.id
    )


def dead_letter(row: DeadLetterRow) -> dead_letter_service_pb2.DeadLetter:
    """Return the mark of an execution that failed for good."""
    return dead_letter_service_pb2.DeadLetter(
        execution_id=row.execution_id,
        namespace=row.namespace,
        workspace=row.workspace,
        job=row.job,
        failed_at=timestamp(row.at),
        state=state_from_word(row.state),
        reason=row.reason,
        error=row.error,
        attempts=row.attempts,
    )


def trace_entry(entry: Entry) -> execution_service_pb2.TraceEntry:
    """Return one thing that happened to an execution."""
    return execution_service_pb2.TraceEntry(
        at=None if entry.at is None else timestamp(entry.at),
        kind=entry.kind,
        text=entry.text,
        detail_json=json.dumps(entry.detail, ensure_ascii=False),
    )
