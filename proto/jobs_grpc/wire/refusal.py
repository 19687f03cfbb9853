"""How a refusal travels: one status, one reason, and what to do next.

A refused call carries a `google.rpc.Status` with an `ErrorInfo` (the reason and its
metadata) and, where single fields are at fault, a `BadRequest`. This module is the only
place that knows that shape; servers build it from a `Refusal`, clients read one back.
Unknown reasons of a newer server fall back to the status code, so that old clients
survive new servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from jobs_grpc.v1.error_pb2 import ErrorReason

DOMAIN: Final = "jobs-grpc"
_PREFIX: Final = "ERROR_REASON_"

STATUS_OF: Final[Mapping[ErrorReason.ValueType, grpc.StatusCode]] = {
    ErrorReason.ERROR_REASON_INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_JOB_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_JOB_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_EXECUTION_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_QUEUE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_WORKER_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_PAUSE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_WORKSPACE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_BREAKER_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_AMBIGUOUS_ID: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_NOT_RUNNING: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_NOT_RETRYABLE: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_REVISION_MISMATCH: grpc.StatusCode.ABORTED,
    ErrorReason.ERROR_REASON_NOT_SUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    ErrorReason.ERROR_REASON_UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    ErrorReason.ERROR_REASON_PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    ErrorReason.ERROR_REASON_NOT_LEADING: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.ERROR_REASON_OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_PROTOCOL_MISMATCH: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_STALE_FENCE: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_BACKFILL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_SCHEDULE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.ERROR_REASON_SCHEDULE_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    ErrorReason.ERROR_REASON_SCHEDULE_OWNED: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_INTERNAL: grpc.StatusCode.INTERNAL,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One field at fault: its path in the request and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a call was refused, in the words of the contract."""

    reason: ErrorReason.ValueType
    message: str
    hint: str = ""
    request_id: str = ""
    violations: tuple[Violation, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    code: grpc.StatusCode | None = None
    # Seconds after which it is worth to ask again, if the server says so; it travels as
    # a `google.rpc.RetryInfo`.
    retry_after: float | None = None


def to_status(refusal: Refusal) -> grpc.Status:
    """Return the refusal as a status that `context.abort_with_status` takes."""
    code = STATUS_OF[refusal.reason]
    metadata = dict(refusal.metadata)
    if refusal.hint:
        metadata["hint"] = refusal.hint
    if refusal.request_id:
        metadata["request_id"] = refusal.request_id
    info = error_details_pb2.ErrorInfo(
        reason=ErrorReason.Name(refusal.reason).removeprefix(_PREFIX),
        domain=DOMAIN,
        metadata=metadata,
    )
    details = [_packed(info)]
    if refusal.violations:
        bad_request = error_details_pb2.BadRequest()
        for violation in refusal.violations:
            bad_request.field_violations.add(
                field=violation.field, description=violation.description
            )
        details.append(_packed(bad_request))
    if refusal.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(timedelta(seconds=refusal.retry_after))
        details.append(_packed(retry))
    status = status_pb2.Status(
        code=code.value[0], message=refusal.message, details=details
    )
    # grpc_status ships no types.
    packed: grpc.Status = rpc_status.to_status(status)  # type: ignore[no-untyped-call]
    return packed


def from_error(error: grpc.aio.AioRpcError) -> Refusal:
    """Return what the server said; without details, what the status code alone says."""
    code = error.code()
    message = error.details() or code.name
    status = rpc_status.from_call(error)  # type: ignore[no-untyped-call]
    reason = ErrorReason.ERROR_REASON_UNSPECIFIED
    metadata: dict[str, str] = {}
    violations: list[Violation] = []
    retry_after = None
    for packed in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if packed.Unpack(info) and info.domain == DOMAIN:
            name = _PREFIX + info.reason
            if name in ErrorReason.keys():  # noqa: SIM118 - an enum wrapper is no mapping
                reason = ErrorReason.Value(name)
            metadata = dict(info.metadata)
        elif packed.Unpack(bad_request):
            violations.extend(
                Violation(one.field, one.description)
                for one in bad_request.field_violations
            )
        elif packed.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return Refusal(
        reason=reason,
        message=message,
        hint=metadata.pop("hint", ""),
        request_id=metadata.pop("request_id", ""),
        violations=tuple(violations),
        metadata=metadata,
        code=code,
        retry_after=retry_after,
    )


def _packed(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]
    return packed
