"""Circuit breakers: look at, open, close."""

from __future__ import annotations

from jobs_grpc.client import _convert
from jobs_grpc.client._settings import Target
from jobs_grpc.client._transport import Transport
from jobs_grpc.client.records.breaker import Breaker
from jobs_grpc.v1 import breaker_service_pb2 as pb
from jobs_grpc.v1.breaker_service_pb2_grpc import BreakerServiceStub


class Breakers:
    """The circuit breakers of the client's namespace, and those of the workers."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self._transport = transport
        self._target = target
        self._stub = BreakerServiceStub(transport.channel)

    async def list(self) -> tuple[Breaker, ...]:
        """Return all, by name."""
        request = pb.ListBreakersRequest(namespace=self._target.namespace)
        answer = await self._transport.call(self._stub.ListBreakers, request)
        return tuple(map(_convert.breaker, answer.breakers))

    async def get(self, name: str) -> Breaker:
        request = pb.GetBreakerRequest(namespace=self._target.namespace, name=name)
        answer = await self._transport.call(self._stub.GetBreaker, request)
        return _convert.breaker(answer.breaker)

    async def trip(
        self, name: str, *, open_for: float | None = None, reason: str = ""
    ) -> Breaker:
        """Open it: for so many seconds, or until it is reset."""
        request = pb.TripBreakerRequest(
            namespace=self._target.namespace, name=name, reason=reason
        )
        if open_for is not None:
            request.open_for.CopyFrom(_convert.to_duration(open_for))
        answer = await self._transport.call(self._stub.TripBreaker, request)
        return _convert.breaker(answer.breaker)

    async def reset(self, name: str) -> Breaker:
        """Close it, and let go what waits for it."""
        request = pb.ResetBreakerRequest(namespace=self._target.namespace, name=name)
        answer = await self._transport.call(self._stub.ResetBreaker, request)
        return _convert.breaker(answer.breaker)
