"""The gRPC server: every service of the contract behind one interceptor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.output import Output
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.v1 import (
    breaker_service_pb2_grpc,
    dead_letter_service_pb2_grpc,
    execution_service_pb2_grpc,
    fleet_service_pb2_grpc,
    job_service_pb2_grpc,
    pause_service_pb2_grpc,
    queue_service_pb2_grpc,
    schedule_service_pb2_grpc,
    system_service_pb2_grpc,
    worker_service_pb2_grpc,
)
from jobs_grpc.wire.channel import SERVER_OPTIONS

from .breaker_service import BreakerService
from .dead_letter_service import DeadLetterService
from .execution_service import ExecutionService
from .fleet_service import FleetService
from .following import Following
from .interceptor import Edge
from .job_service import JobService
from .pause_service import PauseService
from .push_fences import PushFences
from .pushing import Pushing
from .queue_service import QueueService
from .schedule_service import ScheduleService
from .system_service import SystemService
from .worker_service import WorkerService


class AddressInUseError(Exception):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the services stand on."""

    leader: Leader
    store: Store
    output: Output
    following: Following
    clock: Clock


class Server:
    """Listens, and says by the health service whether it leads."""

    def __init__(self, parts: Parts) -> None:
        self._server = grpc.aio.server(
            interceptors=(Edge(),), options=list(SERVER_OPTIONS)
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)  # type: ignore[no-untyped-call]
        _add_services(self._server, parts)

    async def start(self, address: str) -> int:
        """Listen on `host:port` and return the port (useful where 0 was asked for)."""
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if port == 0:
            raise AddressInUseError(
                f"cannot listen on {address}: the address is in use or not of this"
                " host; give another one with --addr"
            )
        await self.say_serving(serving=False)
        await self._server.start()
        return port

    async def say_serving(self, *, serving: bool) -> None:
        """Set what the standard health service answers."""
        status = health_pb2.HealthCheckResponse.ServingStatus
        await self._health.set("", status.SERVING if serving else status.NOT_SERVING)

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, and give those in progress some time to end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)


def _add_services(server: grpc.aio.Server, parts: Parts) -> None:
    leader, store, following = parts.leader, parts.store, parts.following
    services: Sequence[tuple[Any, Any]] = (
        (
            job_service_pb2_grpc.add_JobServiceServicer_to_server,
            JobService(leader, store, parts.clock),
        ),
        (
            execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server,
            ExecutionService(leader, store, following),
        ),
        (
            dead_letter_service_pb2_grpc.add_DeadLetterServiceServicer_to_server,
            DeadLetterService(leader, store),
        ),
        (
            schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server,
            ScheduleService(leader, store, parts.clock),
        ),
        (
            pause_service_pb2_grpc.add_PauseServiceServicer_to_server,
            PauseService(leader, store, parts.clock),
        ),
        (
            queue_service_pb2_grpc.add_QueueServiceServicer_to_server,
            QueueService(leader, store),
        ),
        (
            breaker_service_pb2_grpc.add_BreakerServiceServicer_to_server,
            BreakerService(leader, parts.clock),
        ),
        (
            fleet_service_pb2_grpc.add_FleetServiceServicer_to_server,
            FleetService(leader, store),
        ),
        (
            system_service_pb2_grpc.add_SystemServiceServicer_to_server,
            SystemService(leader, store),
        ),
        (
            worker_service_pb2_grpc.add_WorkerServiceServicer_to_server,
            WorkerService(
                leader,
                Pushing(
                    parts.output.ingest,
                    PushFences(leader, store, lambda fact: leader.notify((fact,))),
                ),
            ),
        ),
    )
    for add, service in services:
        add(service, server)
