"""From a call that ended badly to the exception of the SDK.

The server's own refusals carry a reason and a hint (`jobs_grpc.wire.refusal`). What
carries none was said by gRPC itself about the connection; those texts are written for
people who debug gRPC, so they are put in words here, with the address and the next step.
"""

from __future__ import annotations

import grpc
import grpc.aio

from jobs_grpc.client._errors import (
    DeadlineExceeded,
    InvalidArgument,
    JobsError,
    ServerError,
    Unavailable,
    Violation,
    error_class,
)
from jobs_grpc.v1.error_pb2 import ErrorReason
from jobs_grpc.wire import refusal

# grpc.aio's error has every method of `grpc.Call` that a refusal is read from, but does
# not say so.
grpc.Call.register(grpc.aio.AioRpcError)

_PREFIX = "ERROR_REASON_"


def from_rpc_error(error: grpc.aio.AioRpcError, address: str) -> JobsError:
    """Return the exception for a call to `address` that ended with `error`."""
    said = refusal.from_error(error)
    code = error.code().name
    if said.reason == ErrorReason.ERROR_REASON_UNSPECIFIED:
        connection = _about_the_connection(code, said.message, address)
        if connection is not None:
            return connection
        reason = ""
    else:
        reason = ErrorReason.Name(said.reason).removeprefix(_PREFIX)
    problem = error_class(reason, code)(
        said.message,
        code=code,
        reason=reason,
        hint=said.hint,
        request_id=said.request_id,
        details=said.metadata,
    )
    problem.retry_after = said.retry_after
    if isinstance(problem, InvalidArgument):
        problem.violations = tuple(
            Violation(one.field, one.description) for one in said.violations
        )
    return problem


def lost_connection(address: str) -> Unavailable:
    """Return the exception for a stream that ended without its last message."""
    return Unavailable(f"lost the connection to {address}", code="UNAVAILABLE")


def _about_the_connection(code: str, text: str, address: str) -> JobsError | None:
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(
            f"no answer from {address} in time",
            code=code,
            hint="is that the address of a jobs-grpc server? --timeout allows more time",
        )
    if code == "UNIMPLEMENTED" and "Method not found" in text:
        return error_class("NOT_SUPPORTED", code)(
            f"the server at {address} does not know this call",
            code=code,
            hint="it may be an older jobs-grpc server, or another gRPC service",
        )
    if code == "UNAVAILABLE":
        message, hint = _unreachable(text, address)
        return Unavailable(message, code=code, hint=hint)
    if code in {"UNKNOWN", "INTERNAL"} and _is_not_grpc(text):
        message, hint = _unreachable(text, address)
        return ServerError(message, code=code, hint=hint)
    return None


_START = (
    "is the server running there? start one with `jobs-grpc dev`, or say where it is "
    "with --addr or JOBS_GRPC_ADDR"
)


def _unreachable(text: str, address: str) -> tuple[str, str]:
    """Return the message and the next step for what gRPC says about a connection."""
    if _is_not_grpc(text):
        return (
            f"{address} does not speak gRPC",
            "that port answers like a web server; the usual one of jobs-grpc is 7420",
        )
    if "Connection refused" in text:
        return f"cannot reach the server at {address}: connection refused", _START
    if "errors resolving" in text or "DNS" in text:
        return (
            f"cannot reach the server at {address}: the name does not resolve",
            "the address is HOST:PORT, for example 127.0.0.1:7420",
        )
    if text in {"Socket closed", "GOAWAY received"} or "reset" in text.lower():
        return f"lost the connection to {address}", _START
    return f"cannot reach the server at {address}: {text}", _START


def _is_not_grpc(text: str) -> bool:
    return any(
        sign in text
        for sign in ("Expected SETTINGS frame", "http1.x", "HTTP status code")
    )
