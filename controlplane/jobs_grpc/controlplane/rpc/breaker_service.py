"""BreakerService: what keeps failing and is left alone."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from jobs_grpc.controlplane.core.rows.fleet import BreakerRow
from jobs_grpc.controlplane.core.state.breakers import BreakerKey
from jobs_grpc.controlplane.core.state.errors import BreakerNotFoundError
from jobs_grpc.controlplane.core.state.inputs import (
    ListBreakers,
    ResetBreaker,
    TripBreaker,
)
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.v1 import breaker_service_pb2 as pb
from jobs_grpc.v1.breaker_service_pb2_grpc import BreakerServiceServicer
from jobs_grpc.wire.time import timestamp

from . import convert
from .interceptor import principal

Context = ServicerContext[Any, Any]


class BreakerService(BreakerServiceServicer):
    """See the contract."""

    def __init__(self, leader: Leader, clock: Clock) -> None:
        self._leader = leader
        self._clock = clock

    async def ListBreakers(
        self, request: pb.ListBreakersRequest, context: Context
    ) -> pb.ListBreakersResponse:
        rows = await self._rows(convert.namespace_of(request.namespace))
        return pb.ListBreakersResponse(breakers=[_breaker(row) for row in rows])

    async def GetBreaker(
        self, request: pb.GetBreakerRequest, context: Context
    ) -> pb.GetBreakerResponse:
        namespace = convert.namespace_of(request.namespace)
        for row in await self._rows(namespace):
            if _key(row).name == request.name:
                return pb.GetBreakerResponse(breaker=_breaker(row))
        raise BreakerNotFoundError(
            f'there is no circuit breaker "{request.name}" in namespace "{namespace}"',
            hint="`jobs-grpc breaker list` shows them",
            field="name",
        )

    async def TripBreaker(
        self, request: pb.TripBreakerRequest, context: Context
    ) -> pb.TripBreakerResponse:
        open_for = convert.length(request, "open_for", least=1)
        until = None if open_for is None else self._clock.now() + open_for
        reason = f"opened by {principal().name}"
        if request.reason:
            reason += f": {request.reason}"
        row = await self._leader.submit(
            TripBreaker(
                namespace=convert.namespace_of(request.namespace),
                name=request.name,
                reason=reason,
                until=until,
            )
        )
        assert isinstance(row, BreakerRow)
        return pb.TripBreakerResponse(breaker=_breaker(row))

    async def ResetBreaker(
        self, request: pb.ResetBreakerRequest, context: Context
    ) -> pb.ResetBreakerResponse:
        row = await self._leader.submit(
            ResetBreaker(
                namespace=convert.namespace_of(request.namespace),
                name=request.name,
                reason=f"reset by {principal().name}",
            )
        )
        assert isinstance(row, BreakerRow)
        return pb.ResetBreakerResponse(breaker=_breaker(row))

    async def _rows(self, namespace: str) -> tuple[BreakerRow, ...]:
        rows = await self._leader.submit(ListBreakers(namespace=namespace))
        assert isinstance(rows, tuple)
        return rows


def _key(row: BreakerRow) -> BreakerKey:
    return BreakerKey(*row[:4])


def _breaker(row: BreakerRow) -> pb.Breaker:
    key = _key(row)
    return pb.Breaker(
        name=key.name,
        namespace=row.namespace,
        kind=pb.BreakerKind.Value(f"BREAKER_KIND_{key.kind.upper()}"),
        state=pb.BreakerState.Value(f"BREAKER_STATE_{row.state.upper()}"),
        failures=row.failures,
        successes=row.successes,
        until=None if row.until is None else timestamp(row.until),
        reason=row.reason,
        changed_at=timestamp(row.changed_at) if row.changed_at else None,
        trips=row.trips,
        probe_id=row.probe,
        worker=row.worker,
    )
