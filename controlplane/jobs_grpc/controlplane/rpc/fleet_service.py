"""FleetService: the workers, and what operators say about them."""

from __future__ import annotations

import json
from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.fleet.tending import Order
from jobs_grpc.controlplane.core.rows.changes import WorkerRow
from jobs_grpc.controlplane.core.rows.fleet import OrderRow
from jobs_grpc.controlplane.core.state.errors import (
    AmbiguousIdError,
    WorkerNotFoundError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    CordonWorker,
    DrainWorker,
    LabelWorker,
    UncordonWorker,
)
from jobs_grpc.controlplane.core.state.live import Session
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.v1 import fleet_service_pb2 as pb
from jobs_grpc.v1.fleet_service_pb2_grpc import FleetServiceServicer
from jobs_grpc.wire.time import timestamp

from . import convert
from .interceptor import principal

Context = ServicerContext[Any, Any]
# A drain without a deadline of its own.
DRAIN: Final = 600_000_000


class FleetService(FleetServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, store: Store) -> None:
        self._leader = leader
        self._store = store

    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Context
    ) -> pb.ListWorkersResponse:
        orders = {row.worker_id: row for row in await self._store.orders()}
        return pb.ListWorkersResponse(
            workers=[
                self._worker(row, orders.get(row.worker_id))
                for row in await self._store.workers()
            ]
        )

    async def GetWorker(
        self, request: pb.GetWorkerRequest, context: Context
    ) -> pb.GetWorkerResponse:
        row = await self._find(request.worker)
        orders = {one.worker_id: one for one in await self._store.orders()}
        worker = self._worker(row, orders.get(row.worker_id))
        return pb.GetWorkerResponse(worker=worker)

    async def CordonWorker(
        self, request: pb.CordonWorkerRequest, context: Context
    ) -> pb.CordonWorkerResponse:
        row = await self._find(request.worker)
        order = await self._leader.submit(
            CordonWorker(
                worker_id=row.worker_id, worker=row.name, reason=_why(request.reason)
            )
        )
        return pb.CordonWorkerResponse(worker=self._worker(row, order))

    async def DrainWorker(
        self, request: pb.DrainWorkerRequest, context: Context
    ) -> pb.DrainWorkerResponse:
        deadline = convert.length(request, "deadline")
        row = await self._find(request.worker)
        order = await self._leader.submit(
            DrainWorker(
                worker_id=row.worker_id,
                worker=row.name,
                reason=_why(request.reason),
                deadline=DRAIN if deadline is None else deadline,
            )
        )
        return pb.DrainWorkerResponse(worker=self._worker(row, order))

    async def UncordonWorker(
        self, request: pb.UncordonWorkerRequest, context: Context
    ) -> pb.UncordonWorkerResponse:
        row = await self._find(request.worker)
        order = await self._leader.submit(
            UncordonWorker(worker_id=row.worker_id, worker=row.name)
        )
        return pb.UncordonWorkerResponse(worker=self._worker(row, order))

    async def LabelWorker(
        self, request: pb.LabelWorkerRequest, context: Context
    ) -> pb.LabelWorkerResponse:
        labels: dict[str, str | None] = {**convert.labels(request.labels)}
        convert.labels(dict.fromkeys((*request.removed, *request.given_back), ""))
        row = await self._find(request.worker)
        labels.update(dict.fromkeys(request.removed))
        order = await self._leader.submit(
            LabelWorker(
                worker_id=row.worker_id,
                worker=row.name,
                labels=labels,
                given_back=tuple(request.given_back),
            )
        )
        return pb.LabelWorkerResponse(worker=self._worker(row, order))

    async def _find(self, worker: str) -> WorkerRow:
        """Return the worker of an id, or of a name that only one has."""
        rows = await self._store.workers()
        found = [row for row in rows if row.worker_id == worker]
        found = found or [row for row in rows if row.name == worker]
        if len(found) > 1:
            names = ", ".join(row.worker_id for row in found[:3])
            raise AmbiguousIdError(
                f'several workers have the name "{worker}"',
                hint=f"give the id of one: {names}",
            )
        if not found:
            raise WorkerNotFoundError(
                f'worker "{worker}" not found',
                hint="`jobs-grpc worker list` shows the workers",
                field="worker",
            )
        return found[0]

    def _worker(self, row: WorkerRow, order: object) -> pb.Worker:
        session = self._leader.core.live.sessions_by_worker.get(row.worker_id)
        own = json.loads(row.labels_json)
        worker = pb.Worker(
            id=row.worker_id,
            name=row.name,
            state=_state(session),
            labels=own,
            own_labels=own,
            slots=row.slots,
            slots_used=session.slots_used if session else 0,
            functions=json.loads(row.functions_json),
            version=row.version,
            connected_at=timestamp(row.connected_at),
            last_heartbeat_at=timestamp(
                session.last_seen if session else row.last_seen_at
            ),
            no_work_reason=session.trouble if session else "",
        )
        if isinstance(order, OrderRow):
            _put_order(worker, order)
        return worker


def _state(session: Session | None) -> pb.WorkerState.ValueType:
    if session is None:
        return pb.WorkerState.WORKER_STATE_OFFLINE
    if session.stream is None:
        return pb.WorkerState.WORKER_STATE_DISCONNECTED
    return pb.WorkerState.WORKER_STATE_ONLINE


def _put_order(worker: pb.Worker, row: OrderRow) -> None:
    labels = Order.of_row(row).over(dict(worker.own_labels))
    worker.labels.clear()
    worker.labels.update(labels)
    if not row.cordoned:
        return
    worker.cordoned = True
    worker.cordoned_at.CopyFrom(timestamp(row.since))
    worker.cordon_reason = row.reason
    is_online = worker.state == pb.WorkerState.WORKER_STATE_ONLINE
    if row.drain_until is not None:
        worker.drain_until.CopyFrom(timestamp(row.drain_until))
        if is_online:
            busy = worker.slots_used > 0
            worker.state = (
                pb.WorkerState.WORKER_STATE_DRAINING
                if busy
                else pb.WorkerState.WORKER_STATE_DRAINED
            )
    elif is_online:
        worker.state = pb.WorkerState.WORKER_STATE_CORDONED


def _why(reason: str) -> str:
    return f"{principal().name}: {reason}" if reason else f"by {principal().name}"
