"""QueueService: how full the lines are."""

from __future__ import annotations

from typing import Any, Final

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.waiting.lines import BUILT_IN
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.storage.store import QueueDepth, Store
from jobs_grpc.v1 import queue_service_pb2 as pb
from jobs_grpc.v1.queue_service_pb2_grpc import QueueServiceServicer

Context = ServicerContext[Any, Any]
_EMPTY: Final = QueueDepth("", 0, 0, 0)


class QueueService(QueueServiceServicer):
    """See the contract. Counts are those of committed facts."""

    def __init__(self, leader: Leader, store: Store) -> None:
        self._leader = leader
        self._store = store

    async def ListQueues(
        self, request: pb.ListQueuesRequest, context: Context
    ) -> pb.ListQueuesResponse:
        totals, depths = await self._store.queues()
        total_of = {row.name: row for row in totals}
        depth_of = {depth.queue: depth for depth in depths}
        queues = []
        for name, weight in BUILT_IN.items():
            total, depth = total_of.get(name), depth_of.get(name, _EMPTY)
            queues.append(
                pb.Queue(
                    name=name,
                    weight=weight,
                    pending=depth.pending,
                    active=depth.active,
                    scheduled=depth.scheduled,
                    completed=total.completed if total else 0,
                    failed=total.failed if total else 0,
                )
            )
        sessions = [
            one
            for one in self._leader.core.live.sessions.values()
            if one.stream is not None
        ]
        active = sum(1 for one in sessions if one.leases)
        return pb.ListQueuesResponse(
            queues=queues,
            workers_total=len(sessions),
            workers_active=active,
            workers_idle=len(sessions) - active,
            slots_total=sum(one.slots for one in sessions),
            slots_used=sum(one.slots_used for one in sessions),
        )
