"""ScheduleService: what became of due times."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.errors import InvalidError
from jobs_grpc.controlplane.storage.store import DecisionFilter
from jobs_grpc.v1 import schedule_service_pb2 as pb
from jobs_grpc.wire.time import microseconds

from . import convert
from .backfill_calls import BackfillCalls
from .job_service import page_size
from .schedule_objects import ScheduleObjectCalls


class ScheduleService(ScheduleObjectCalls, BackfillCalls):
    """See the contract."""

    async def ListDecisions(
        self, request: pb.ListDecisionsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListDecisionsResponse:
        limit = page_size(request.page_size)
        before = _before(request.page_token)
        start = getattr(request, "from")
        rows = await self._store.decisions(
            DecisionFilter(
                namespace=convert.namespace_of(request.namespace),
                workspace=request.workspace,
                job=request.job,
                start=microseconds(start) if request.HasField("from") else None,
                end=microseconds(request.to) if request.HasField("to") else None,
                before=before,
            ),
            limit,
        )
        last = rows[-1] if len(rows) == limit else None
        return pb.ListDecisionsResponse(
            decisions=[convert.decision(row) for row in rows],
            next_page_token=(
                convert.page_token(last.due_at, last.schedule_id) if last else ""
            ),
        )


def _before(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    try:
        due_at, schedule_id = convert.page_start(token)
        return int(due_at), str(schedule_id)
    except (ValueError, TypeError):
        raise InvalidError(
            "the page token is not one of this server",
            hint="begin the listing again without it",
            field="page_token",
        ) from None
