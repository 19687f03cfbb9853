"""SystemService: the control plane about itself."""

from __future__ import annotations

import zoneinfo
from importlib import metadata
from pathlib import Path
from typing import Any

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.storage.store import Store
from jobs_grpc.v1 import system_service_pb2 as pb
from jobs_grpc.v1.system_service_pb2_grpc import SystemServiceServicer
from jobs_grpc.wire.time import timestamp


def timezone_data() -> str:
    """Return which zone data is in use: that of the system, else the package's."""
    system = next((path for path in zoneinfo.TZPATH if Path(path).is_dir()), None)
    return f"system ({system})" if system else f"tzdata {metadata.version('tzdata')}"


class SystemService(SystemServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, store: Store) -> None:
        self._leader = leader
        self._store = store

    async def GetInfo(
        self, request: pb.GetInfoRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetInfoResponse:
        core = self._leader.core
        return pb.GetInfoResponse(
            version=metadata.version("jobs-grpc"),
            term=self._leader.term,
            started_at=timestamp(self._leader.started_at),
            store=self._store.describe(),
            jobs=len(core.live.jobs),
            schedules=len(core.timeline),
            active_executions=len(core.live.executions),
            timezone_data=timezone_data(),
        )
