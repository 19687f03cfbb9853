"""Backfills: work off the due times of a range in the past."""

from __future__ import annotations

from datetime import datetime

from jobs_grpc.client import _convert, _convert_backfill
from jobs_grpc.client._settings import Target
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.backfill import Backfill, BackfillOrder
from jobs_grpc.client.records.page import Page
from jobs_grpc.v1 import backfill_pb2 as pb
from jobs_grpc.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from jobs_grpc.wire.channel import DEFAULT_PAGE

# The due times of a large range are counted first.
_CREATE_TIMEOUT = 60.0


class Backfills:
    """The backfills of the client's namespace. Ids may be given by a unique prefix."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target
        self._stub = ScheduleServiceStub(transport.channel)

    async def create(
        self,
        job: str,
        start: datetime,
        end: datetime,
        *,
        schedule: str = "",
        order: BackfillOrder = BackfillOrder.OLDEST,
        parallel: int = 1,
        priority: int = 5,
        dry_run: bool = False,
        workspace: str | None = None,
    ) -> Backfill:
        """Begin a backfill of [start, end); with `dry_run` only say what it would be.

        Due times that were started before are left out. At most `parallel` executions of
        it wait or run at a time, at the lowest priority unless said otherwise.
        """
        request = pb.CreateBackfillRequest(
            job=_convert.job_ref(self._target, job, workspace),
            schedule=schedule,
            to=_convert.to_timestamp(end),
            order=_convert_backfill.to_order(order),
            parallel=parallel,
            priority=priority,
            dry_run=dry_run,
        )
        # `from` is a word of Python's, so the field has no attribute.
        getattr(request, "from").CopyFrom(_convert.to_timestamp(start))
        answer = await self._transport.call(
            self._stub.CreateBackfill,
            request,
            timeout=max(self._transport.timeout, _CREATE_TIMEOUT),
            repeatable=dry_run,
        )
        return _convert_backfill.backfill(answer.backfill)

    async def get(self, backfill_id: str) -> Backfill:
        request = pb.GetBackfillRequest(
            namespace=self._target.namespace, id=backfill_id
        )
        answer = await self._transport.call(self._stub.GetBackfill, request)
        return _convert_backfill.backfill(answer.backfill)

    async def list(
        self,
        job: str = "",
        *,
        workspace: str | None = None,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> Page[Backfill]:
        """Return backfills, newest first."""
        request = pb.ListBackfillsRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace_or(workspace),
            job=job,
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._transport.call(self._stub.ListBackfills, request)
        return Page(
            data=tuple(map(_convert_backfill.backfill, answer.backfills)),
            next_page_token=answer.next_page_token,
        )

    async def pause(self, backfill_id: str) -> Backfill:
        """Let it start nothing more; what runs goes on."""
        request = pb.PauseBackfillRequest(
            namespace=self._target.namespace, id=backfill_id
        )
        answer = await self._transport.call(self._stub.PauseBackfill, request)
        return _convert_backfill.backfill(answer.backfill)

    async def resume(self, backfill_id: str) -> Backfill:
        request = pb.ResumeBackfillRequest(
            namespace=self._target.namespace, id=backfill_id
        )
        answer = await self._transport.call(self._stub.ResumeBackfill, request)
        return _convert_backfill.backfill(answer.backfill)

    async def cancel(self, backfill_id: str) -> Backfill:
        """End what it has waiting and running; it cannot be resumed."""
        request = pb.CancelBackfillRequest(
            namespace=self._target.namespace, id=backfill_id
        )
        answer = await self._transport.call(
            self._stub.CancelBackfill, request, repeatable=False
        )
        return _convert_backfill.backfill(answer.backfill)
