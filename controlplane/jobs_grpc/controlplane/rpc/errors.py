"""What our exceptions are called on the wire: one table, nothing else.

An exception that is not in it is a bug of ours and becomes INTERNAL with the request id;
its trace stays in our log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobs_grpc.controlplane.core.state import errors as core
from jobs_grpc.controlplane.leader.journal import NotLeadingError, OverloadedError
from jobs_grpc.controlplane.output.errors import (
    FollowersFullError,
    OutputClosedError,
    OutputStorageError,
)
from jobs_grpc.controlplane.storage.store import StoreError
from jobs_grpc.jobfile import Problem, ProblemsError
from jobs_grpc.v1.error_pb2 import ErrorReason
from jobs_grpc.wire.refusal import Refusal, Violation

REASONS: Final[Mapping[type[Exception], ErrorReason.ValueType]] = {
    core.JobNotFoundError: ErrorReason.ERROR_REASON_JOB_NOT_FOUND,
    core.ExecutionNotFoundError: ErrorReason.ERROR_REASON_EXECUTION_NOT_FOUND,
    core.QueueNotFoundError: ErrorReason.ERROR_REASON_QUEUE_NOT_FOUND,
    core.WorkspaceNotFoundError: ErrorReason.ERROR_REASON_WORKSPACE_NOT_FOUND,
    core.PauseNotFoundError: ErrorReason.ERROR_REASON_PAUSE_NOT_FOUND,
    core.AmbiguousIdError: ErrorReason.ERROR_REASON_AMBIGUOUS_ID,
    core.WorkerNotFoundError: ErrorReason.ERROR_REASON_WORKER_NOT_FOUND,
    core.BreakerNotFoundError: ErrorReason.ERROR_REASON_BREAKER_NOT_FOUND,
    core.NotRunningError: ErrorReason.ERROR_REASON_NOT_RUNNING,
    core.BackfillNotFoundError: ErrorReason.ERROR_REASON_BACKFILL_NOT_FOUND,
    core.ScheduleNotFoundError: ErrorReason.ERROR_REASON_SCHEDULE_NOT_FOUND,
    core.ScheduleExistsError: ErrorReason.ERROR_REASON_SCHEDULE_EXISTS,
    core.ScheduleOwnedError: ErrorReason.ERROR_REASON_SCHEDULE_OWNED,
    core.RevisionMismatchError: ErrorReason.ERROR_REASON_REVISION_MISMATCH,
    core.NotRetryableError: ErrorReason.ERROR_REASON_NOT_RETRYABLE,
    core.InvalidError: ErrorReason.ERROR_REASON_INVALID_ARGUMENT,
    core.ProtocolMismatchError: ErrorReason.ERROR_REASON_PROTOCOL_MISMATCH,
    ProblemsError: ErrorReason.ERROR_REASON_JOB_INVALID,
    NotLeadingError: ErrorReason.ERROR_REASON_NOT_LEADING,
    OverloadedError: ErrorReason.ERROR_REASON_OVERLOADED,
    FollowersFullError: ErrorReason.ERROR_REASON_OVERLOADED,
    OutputClosedError: ErrorReason.ERROR_REASON_NOT_LEADING,
    OutputStorageError: ErrorReason.ERROR_REASON_NOT_LEADING,
    StoreError: ErrorReason.ERROR_REASON_NOT_LEADING,
}
# Of the contract, but not (yet) raised by this server: they belong to authentication,
# to optimistic locks and to later services.
UNUSED: Final = frozenset(
    {
        ErrorReason.ERROR_REASON_UNSPECIFIED,
        ErrorReason.ERROR_REASON_NOT_SUPPORTED,
        ErrorReason.ERROR_REASON_UNAUTHENTICATED,
        ErrorReason.ERROR_REASON_PERMISSION_DENIED,
        ErrorReason.ERROR_REASON_STALE_FENCE,
        ErrorReason.ERROR_REASON_INTERNAL,
    }
)
_HINTS: Final[Mapping[type[Exception], str]] = {
    NotLeadingError: "try again in a few seconds",
    OverloadedError: "slow down, and try again with the same request ids",
}


def refusal_of(error: Exception, *, request_id: str) -> Refusal | None:
    """Return how an exception is said on the wire; `None` if it is a bug of ours."""
    for kind in type(error).__mro__:
        reason = REASONS.get(kind)
        if reason is not None:
            return Refusal(
                reason=reason,
                message=_message_of(error),
                hint=getattr(error, "hint", "") or _HINTS.get(kind, ""),
                request_id=request_id,
                violations=_violations_of(error),
                retry_after=getattr(error, "retry_after", None),
            )
    return None


def _message_of(error: Exception) -> str:
    if isinstance(error, core.RefusedError):
        return error.message
    if isinstance(error, OverloadedError):
        return "the control plane has too much to decide"
    return str(error)


def _violations_of(error: Exception) -> tuple[Violation, ...]:
    if isinstance(error, ProblemsError):
        return tuple(_violation(problem) for problem in error.problems)
    field = getattr(error, "field", "")
    return (Violation(field, str(error)),) if field else ()


def _violation(problem: Problem) -> Violation:
    return Violation(problem.field, problem.message)
