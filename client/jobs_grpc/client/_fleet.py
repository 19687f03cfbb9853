"""Queues, workers and decisions: what the fleet does and what became of due times."""

from __future__ import annotations

from datetime import datetime

from jobs_grpc.client import _convert
from jobs_grpc.client._schedules import ScheduleObjects
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.decision import Decision
from jobs_grpc.client.records.due_time import DueTimes
from jobs_grpc.client.records.fleet import Queue, QueueStatus, Worker
from jobs_grpc.client.records.page import Page
from jobs_grpc.v1 import fleet_service_pb2, queue_service_pb2, schedule_service_pb2
from jobs_grpc.v1.fleet_service_pb2_grpc import FleetServiceStub
from jobs_grpc.v1.queue_service_pb2_grpc import QueueServiceStub
from jobs_grpc.wire.channel import DEFAULT_PAGE


class Queues:
    """The waiting lines."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._stub = QueueServiceStub(transport.channel)

    async def list(self) -> tuple[Queue, ...]:
        return (await self.status()).queues

    async def status(self) -> QueueStatus:
        """Return every queue and the capacity they share, as of one moment."""
        request = queue_service_pb2.ListQueuesRequest()
        answer = await self._transport.call(self._stub.ListQueues, request)
        return _convert.queue_status(answer)


class Workers:
    """The registered worker daemons."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._stub = FleetServiceStub(transport.channel)

    async def list(self) -> tuple[Worker, ...]:
        request = fleet_service_pb2.ListWorkersRequest()
        answer = await self._transport.call(self._stub.ListWorkers, request)
        return tuple(map(_convert.worker, answer.workers))


class Schedules(ScheduleObjects):
    """Schedules, what will come due, and what became of due times."""

    async def next(
        self,
        job: str,
        *,
        workspace: str | None = None,
        after: datetime | None = None,
        count: int = 10,
    ) -> DueTimes:
        """Return the next due times of a job, of all its schedules together.

        Later than `after`, which is now if left out; at most `count` (1 to 1,000).
        """
        request = schedule_service_pb2.ListDueTimesRequest(
            job=self._job(job, workspace), count=count
        )
        if after is not None:
            getattr(request, "from").CopyFrom(_convert.to_timestamp(after))
        answer = await self._transport.call(self._stub.ListDueTimes, request)
        return _convert.due_times(answer)

    async def decisions(
        self,
        job: str = "",
        *,
        workspace: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> Page[Decision]:
        """Return decisions, newest first, for due times in [since, until)."""
        request = schedule_service_pb2.ListDecisionsRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace if workspace is None else workspace,
            job=job,
            page_size=page_size,
            page_token=page_token,
        )
        if since is not None:
            # `from` is a word of Python's, so the field has no attribute.
            getattr(request, "from").CopyFrom(_convert.to_timestamp(since))
        if until is not None:
            request.to.CopyFrom(_convert.to_timestamp(until))
        answer = await self._transport.call(self._stub.ListDecisions, request)
        return Page(
            data=tuple(map(_convert.decision, answer.decisions)),
            next_page_token=answer.next_page_token,
        )
