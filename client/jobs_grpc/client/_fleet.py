"""Queues, workers and decisions: what the fleet does and what became of due times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from jobs_grpc.client import _convert
from jobs_grpc.client._convert_due_time import due_time_answer
from jobs_grpc.client._schedules import ScheduleObjects
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.decision import Decision, DueTimeAnswer, SkipReason
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

    async def get(self, worker: str) -> Worker:
        """Return a worker by its id, or by its name where only one has it."""
        request = fleet_service_pb2.GetWorkerRequest(worker=worker)
        answer = await self._transport.call(self._stub.GetWorker, request)
        return _convert.worker(answer.worker)

    async def cordon(self, worker: str, *, reason: str = "") -> Worker:
        """Have it given no new work; what it has goes on."""
        request = fleet_service_pb2.CordonWorkerRequest(worker=worker, reason=reason)
        answer = await self._transport.call(self._stub.CordonWorker, request)
        return _convert.worker(answer.worker)

    async def uncordon(self, worker: str) -> Worker:
        """Have it given work again, after a cordon or a drain."""
        request = fleet_service_pb2.UncordonWorkerRequest(worker=worker)
        answer = await self._transport.call(self._stub.UncordonWorker, request)
        return _convert.worker(answer.worker)

    async def drain(
        self, worker: str, *, deadline: float | None = None, reason: str = ""
    ) -> Worker:
        """Cordon it, and end what still runs after so many seconds (10 minutes).

        What may run twice then waits for another worker, the rest is cancelled.
        """
        request = fleet_service_pb2.DrainWorkerRequest(worker=worker, reason=reason)
        if deadline is not None:
            request.deadline.CopyFrom(_convert.to_duration(deadline))
        answer = await self._transport.call(self._stub.DrainWorker, request)
        return _convert.worker(answer.worker)

    async def label(
        self,
        worker: str,
        labels: Mapping[str, str] | None = None,
        *,
        removed: Iterable[str] = (),
        given_back: Iterable[str] = (),
    ) -> Worker:
        """Put labels over its own, take some away, give others back to it."""
        request = fleet_service_pb2.LabelWorkerRequest(
            worker=worker,
            labels=labels or {},
            removed=tuple(removed),
            given_back=tuple(given_back),
        )
        answer = await self._transport.call(self._stub.LabelWorker, request)
        return _convert.worker(answer.worker)


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
            job=_convert.job_ref(self._target, job, workspace), count=count
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
        reasons: Sequence[SkipReason] = (),
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> Page[Decision]:
        """Return decisions, newest first, for due times in [since, until).

        With `reasons` only those that were skipped for one of them.
        """
        request = schedule_service_pb2.ListDecisionsRequest(
            namespace=self._target.namespace,
            workspace=self._target.workspace_or(workspace),
            job=job,
            reasons=map(_convert.to_reason, reasons),
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

    async def explain(
        self, job: str, at: str | datetime, *, workspace: str | None = None
    ) -> DueTimeAnswer:
        """Say what became of an instant, or what will.

        `at` is an aware datetime, or a text: RFC 3339, or a local time without an offset
        (`2027-03-14T02:30`), which is that of the schedule's own zone.
        """
        if isinstance(at, datetime):
            at = _convert.to_timestamp(at).ToJsonString()
        request = schedule_service_pb2.ExplainDueTimeRequest(
            job=_convert.job_ref(self._target, job, workspace), at=at
        )
        answer = await self._transport.call(self._stub.ExplainDueTime, request)
        return due_time_answer(answer)
