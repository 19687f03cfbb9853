"""A control plane that follows a script, on a real socket.

A test says which calls it expects, in order, and what each is answered. A call that is
not next in the script is refused and fails the test at its end, as does a script that was
not used up. What the callers sent is kept in `requests`.

    with FakeControlPlane() as server:
        server.expect("GetJob", GetJobResponse(...))
        server.expect("FollowOutput", piece(0, b"one"), CUT)
        async with Client.connect(server.address) as client: ...

It runs in threads, not in an event loop, so that clients may have theirs in this process.
"""

from __future__ import annotations

import pkgutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from threading import Event
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from jobs_grpc import v1
from jobs_grpc.v1 import system_service_pb2
from jobs_grpc.v1.error_pb2 import ErrorReason
from jobs_grpc.wire.channel import SERVER_OPTIONS
from jobs_grpc.wire.refusal import Refusal, to_status

# Whatever the contract has: one that is added needs no mention here.
_FILES: Final = [
    import_module(f"{v1.__name__}.{module.name}")
    for module in pkgutil.iter_modules(v1.__path__)
    if module.name.endswith("_service_pb2")
]


class Cut:
    """The call ends as it does when the server dies."""


class Hang:
    """The call is never answered; the client ends it."""


CUT: Final = Cut()
HANG: Final = Hang()

# A message or a refusal; in streams also an event to wait for before going on.
Answer = Message | Refusal | Cut | Hang | Event


@dataclass(frozen=True, slots=True)
class Exchange:
    """One expected call and what it is answered."""

    method: str
    answers: tuple[Answer, ...]


def refusal(reason: str, message: str, **more: Any) -> Refusal:
    """Return a refusal by the reason's short name."""
    return Refusal(
        reason=ErrorReason.Value(f"ERROR_REASON_{reason}"), message=message, **more
    )


class FakeControlPlane:
    """Answers as scripted; leaving the context checks that the script was used up."""

    def __init__(self) -> None:
        self.script: deque[Exchange] = deque()
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.surprises: list[str] = []
        self._port = 0
        self._server: grpc.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def expect(self, method: str, *answers: Answer) -> None:
        """Expect a call; several answers are the messages of a stream."""
        self.script.append(Exchange(method, answers))

    def expect_hello(self) -> None:
        """Expect the call with which `Client.connect` sees that a server answers."""
        self.expect("GetInfo", system_service_pb2.GetInfoResponse(version="0.0.0"))

    def start(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=8)
        self._server = grpc.server(self._threads, options=SERVER_OPTIONS)
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        self._port = self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self) -> None:
        """Drop every connection, as a killed server does."""
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._threads.shutdown()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None:
            assert not self.surprises, f"calls outside the script: {self.surprises}"
            unused = [exchange.method for exchange in self.script]
            assert not unused, f"expected calls that never came: {unused}"

    def next_answers(self, method: str, request: Any) -> tuple[Answer, ...]:
        self.requests.append(request)
        if not self.script or self.script[0].method != method:
            wanted = self.script[0].method if self.script else "no more calls"
            self.surprises.append(f"{method} (the script has {wanted})")
            return (refusal("INTERNAL", f"{method} is not next in the script"),)
        return self.script.popleft().answers


class _Handlers(grpc.GenericRpcHandler):
    """Serves every method of the contract's services from the script."""

    def __init__(self, plane: FakeControlPlane) -> None:
        self._plane = plane
        self._methods = {
            f"/{service.full_name}/{method.name}": method
            for file in _FILES
            for service in file.DESCRIPTOR.services_by_name.values()
            for method in service.methods
            if not method.client_streaming  # those are for workers
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = self._methods.get(str(handler_call_details.method))
        if method is None:
            return None
        make = (
            grpc.unary_stream_rpc_method_handler
            if method.server_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        behavior = (
            self._stream(method) if method.server_streaming else self._unary(method)
        )
        return make(
            behavior,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _unary(self, method: MethodDescriptor) -> Any:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self._note(context)
            for one in self._plane.next_answers(method.name, request):
                _end_if_told(one, context)
                if isinstance(one, Message):
                    return one
            return GetMessageClass(method.output_type)()

        return answer

    def _stream(self, method: MethodDescriptor) -> Any:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self._note(context)
            for one in self._plane.next_answers(method.name, request):
                _end_if_told(one, context)
                if isinstance(one, Message):
                    yield one

        return answer

    def _note(self, context: grpc.ServicerContext) -> None:
        pairs = context.invocation_metadata()
        self._plane.metadata.append({str(key): str(value) for key, value in pairs})


def _end_if_told(answer: Answer, context: grpc.ServicerContext) -> None:
    if isinstance(answer, Refusal):
        context.abort_with_status(to_status(answer))
    if isinstance(answer, Cut):
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    if isinstance(answer, Hang):
        answer = Event()
    if isinstance(answer, Event):
        # Until the test goes on, or the client has left.
        context.add_callback(answer.set)
        answer.wait()
