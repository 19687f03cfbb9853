"""Backfills as the contract tells them."""

from __future__ import annotations

import json

from google.protobuf.timestamp_pb2 import Timestamp

from jobs_grpc.controlplane.core.rows.schedules import BackfillRow
from jobs_grpc.controlplane.core.state.inputs import BeginBackfill
from jobs_grpc.v1.backfill_pb2 import Backfill, BackfillOrder, BackfillState
from jobs_grpc.wire.time import timestamp


def backfill(row: BackfillRow) -> Backfill:
    """Return a stored backfill."""
    message = Backfill(
        id=row.id,
        namespace=row.namespace,
        workspace=row.workspace,
        job=row.job,
        schedules=_labels(row.schedules_json),
        to=timestamp(row.end),
        order=_order(newest_first=bool(row.newest_first)),
        parallel=row.parallel,
        priority=row.priority,
        state=BackfillState.Value(f"BACKFILL_STATE_{row.state.upper()}"),
        total=row.total,
        started=row.started,
        left_out=row.left_out,
        succeeded=row.succeeded,
        failed=row.failed,
        cancelled=row.cancelled,
        cursor=_instant(row.cursor),
        requested_by=row.requested_by,
        reason=row.reason,
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
        finished_at=_instant(row.finished_at),
    )
    # `from` is a word of Python's, so the field has no attribute.
    getattr(message, "from").CopyFrom(timestamp(row.start))
    return message


def preview(wanted: BeginBackfill, left_out: int) -> Backfill:
    """Return what a backfill would be."""
    namespace, workspace, job = wanted.key
    message = Backfill(
        namespace=namespace,
        workspace=workspace,
        job=job,
        schedules=_labels(wanted.schedules_json),
        to=timestamp(wanted.end),
        order=_order(newest_first=wanted.newest_first),
        parallel=wanted.parallel,
        priority=wanted.priority,
        total=wanted.total,
        left_out=left_out,
        requested_by=wanted.requested_by,
    )
    getattr(message, "from").CopyFrom(timestamp(wanted.start))
    return message


def _labels(schedules_json: str) -> list[str]:
    return [one["name"] or one["id"] for one in json.loads(schedules_json)]


def _order(*, newest_first: bool) -> BackfillOrder.ValueType:
    if newest_first:
        return BackfillOrder.BACKFILL_ORDER_NEWEST
    return BackfillOrder.BACKFILL_ORDER_OLDEST


def _instant(microseconds: int | None) -> Timestamp | None:
    return None if microseconds is None else timestamp(microseconds)
