"""What happens around every call: who asks, under which id, and how errors are said.

Every handler finds its caller in `principal()`. Until there are credentials the server
listens on loopback only and believes the name that the caller gives.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import grpc
from grpc.aio import ServerInterceptor, ServicerContext

from jobs_grpc.v1.error_pb2 import ErrorReason
from jobs_grpc.wire import metadata
from jobs_grpc.wire.refusal import Refusal, to_status

from .errors import refusal_of

log = logging.getLogger(__name__)

DEFAULT_NAMESPACE: Final = "default"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `namespace` is the one used where a request names none."""

    name: str
    namespace: str = DEFAULT_NAMESPACE


_principal: ContextVar[Principal] = ContextVar("principal")


def principal() -> Principal:
    """Return who makes the current call."""
    return _principal.get()


class Edge(ServerInterceptor):
    """Authenticates, and turns exceptions into refusals, for all four shapes of calls."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        details = handler_call_details
        handler: Any = await continuation(details)
        if handler is None:
            return None
        given = dict(details.invocation_metadata or ())
        request_id = _text(given.get(metadata.REQUEST_ID)) or uuid.uuid4().hex
        who = Principal(_text(given.get(metadata.USER)) or "anonymous")
        wrap = _Wrap(who, request_id, details.method)
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                wrap.any_streaming(handler.stream_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                wrap.any_streaming(handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(
                wrap.single(handler.stream_unary),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            wrap.single(handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


@dataclass(frozen=True, slots=True)
class _Wrap:
    who: Principal
    request_id: str
    method: str

    def single(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            _principal.set(self.who)
            try:
                return await inner(request, context)
            except Exception as error:  # noqa: BLE001 - all of them are mapped or logged
                await self._refuse(error, context)

        return call

    def any_streaming(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        """Handlers either yield messages, or write them and return nothing."""
        wrap = self.streaming if inspect.isasyncgenfunction(inner) else self.single
        return wrap(inner)

    def streaming(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(
            request: Any, context: ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            _principal.set(self.who)
            try:
                async for message in inner(request, context):
                    yield message
            except Exception as error:  # noqa: BLE001 - all of them are mapped or logged
                await self._refuse(error, context)

        return call

    async def _refuse(
        self, error: Exception, context: ServicerContext[Any, Any]
    ) -> None:
        if isinstance(error, grpc.aio.AbortError | asyncio.CancelledError):
            raise error
        refusal = refusal_of(error, request_id=self.request_id)
        if refusal is None:
            log.error(
                "%s failed, request %s", self.method, self.request_id, exc_info=error
            )
            refusal = Refusal(
                reason=ErrorReason.ERROR_REASON_INTERNAL,
                message="the control plane failed at this; its log has the details",
                hint=f"look for request {self.request_id} in the log of the server",
                request_id=self.request_id,
            )
        await context.abort_with_status(to_status(refusal))
