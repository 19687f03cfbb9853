"""The part of `_convert` that concerns backfills."""

from __future__ import annotations

from jobs_grpc.client._convert import _words, instant_of
from jobs_grpc.client.records.backfill import (
    Backfill,
    BackfillOrder,
    BackfillState,
)
from jobs_grpc.v1 import backfill_pb2

_BACKFILLS = _words(BackfillState, backfill_pb2.BackfillState.items())
_BACKFILL_ORDERS = _words(BackfillOrder, backfill_pb2.BackfillOrder.items())


def backfill(message: backfill_pb2.Backfill) -> Backfill:
    state = message.state
    return Backfill(
        id=message.id,
        namespace=message.namespace,
        workspace=message.workspace,
        job=message.job,
        schedules=tuple(message.schedules),
        start=instant_of(message, "from"),
        end=instant_of(message, "to"),
        order=_BACKFILL_ORDERS.get(message.order, BackfillOrder.UNRECOGNIZED),
        parallel=message.parallel,
        priority=message.priority,
        state=_BACKFILLS.get(state, BackfillState.UNRECOGNIZED) if state else None,
        total=message.total,
        started=message.started,
        left_out=message.left_out,
        succeeded=message.succeeded,
        failed=message.failed,
        cancelled=message.cancelled,
        cursor=instant_of(message, "cursor"),
        requested_by=message.requested_by,
        reason=message.reason,
        created_at=instant_of(message, "created_at"),
        updated_at=instant_of(message, "updated_at"),
        finished_at=instant_of(message, "finished_at"),
    )


def to_order(order: BackfillOrder) -> backfill_pb2.BackfillOrder.ValueType:
    return backfill_pb2.BackfillOrder.Value(f"BACKFILL_ORDER_{order.value.upper()}")
