"""Everything that can go wrong, as one tree.

    JobsError
    ├── InvalidArgument      the request is malformed; nothing was changed
    ├── NotFound
    ├── Conflict             what was expected is not what stands
    │   └── NotRunning       there is nothing to cancel
    ├── NotSupported         the server cannot do it (yet)
    ├── Unauthenticated
    ├── PermissionDenied
    ├── Unavailable          the server was not reached, or does not lead; safe to retry
    ├── Overloaded           come back after a pause
    ├── DeadlineExceeded     no answer in time (also a `TimeoutError`)
    ├── ServerError          the server's fault; its log has the request id
    └── ExecutionFailed      an outcome: the execution ended other than `succeeded`

Whose fault it is can be read off the class. `BY_REASON` maps every reason of the contract
to one class; a reason that only a newer server knows falls back on the status code.
"""

# The names say what happened, as the exceptions of this kind of library do.
# ruff: noqa: N818

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from jobs_grpc.client.records.execution import Execution, ExecutionState


@dataclass(frozen=True, slots=True)
class Violation:
    """One field at fault: its path in the request and what is wrong with it."""

    field: str
    description: str


class JobsError(Exception):
    """The base of the tree: a message, and what a program or a person does with it."""

    # Trying again, unchanged, may help.
    retriable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        hint: str = "",
        request_id: str = "",
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        # The status code by name, for example "NOT_FOUND".
        self.code = code
        # The contract's reason, for example "JOB_NOT_FOUND"; empty if the server gave none.
        self.reason = reason
        self.hint = hint
        self.request_id = request_id
        # Seconds after which the server says that it is worth to ask again.
        self.retry_after: float | None = None
        # Ids and names of the things concerned.
        self.details = dict(details or {})


class InvalidArgument(JobsError):
    """The request is malformed; nothing was changed."""

    violations: tuple[Violation, ...] = ()


class NotFound(JobsError):
    """The thing named does not exist."""


class Conflict(JobsError):
    """What was expected is not what stands, for example another revision."""


class NotRunning(Conflict):
    """The job or the execution is not running, so there is nothing to cancel."""


class NotSupported(JobsError):
    """This server cannot do it: a later feature, or another protocol version."""


class Unauthenticated(JobsError):
    """No, expired or unknown credentials."""


class PermissionDenied(JobsError):
    """The caller may not do this."""


class Unavailable(JobsError):
    """The server was not reached, or does not lead now. Safe to retry."""

    retriable = True


class Overloaded(JobsError):
    """A queue inside the server is full. Come back after a pause."""

    retriable = True


class DeadlineExceeded(JobsError, TimeoutError):
    """No answer in time; a change may or may not have happened."""


class ServerError(JobsError):
    """The server's fault; its log has the trace under the request id."""


class ExecutionFailed(JobsError):
    """An execution ended other than `succeeded`; `execution` has the whole record."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(
            f"execution {execution.id} of job {execution.job!r} {_ending(execution)}",
            hint=f"read its output: jobs-grpc logs {execution.id[:8]}",
        )
        self.execution = execution

    @property
    def execution_id(self) -> str:
        return self.execution.id

    @property
    def exit_code(self) -> int | None:
        return self.execution.exit_code

    @property
    def state(self) -> ExecutionState:
        return self.execution.state


def _ending(execution: Execution) -> str:
    words = {
        ExecutionState.FAILED: "failed",
        ExecutionState.TIMED_OUT: "timed out",
        ExecutionState.CANCELLED: "was cancelled",
        ExecutionState.LOST: "was lost: how it ended is not known",
        ExecutionState.SKIPPED: "was skipped",
    }
    ending = words.get(execution.state, f"is {execution.state}")
    return f"{ending}: {execution.error}" if execution.error else ending


BY_REASON: Final[Mapping[str, type[JobsError]]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "JOB_INVALID": InvalidArgument,
    "JOB_NOT_FOUND": NotFound,
    "EXECUTION_NOT_FOUND": NotFound,
    "QUEUE_NOT_FOUND": NotFound,
    "WORKER_NOT_FOUND": NotFound,
    "WORKSPACE_NOT_FOUND": NotFound,
    "PAUSE_NOT_FOUND": NotFound,
    "BREAKER_NOT_FOUND": NotFound,
    "AMBIGUOUS_ID": InvalidArgument,
    "NOT_RUNNING": NotRunning,
    "NOT_RETRYABLE": Conflict,
    "REVISION_MISMATCH": Conflict,
    "NOT_SUPPORTED": NotSupported,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_LEADING": Unavailable,
    "OVERLOADED": Overloaded,
    "PROTOCOL_MISMATCH": NotSupported,
    "STALE_FENCE": Conflict,
    "BACKFILL_NOT_FOUND": NotFound,
    "SCHEDULE_NOT_FOUND": NotFound,
    "SCHEDULE_EXISTS": Conflict,
    "SCHEDULE_OWNED": Conflict,
    "INTERNAL": ServerError,
}

BY_CODE: Final[Mapping[str, type[JobsError]]] = {
    "CANCELLED": Unavailable,
    "UNKNOWN": ServerError,
    "INVALID_ARGUMENT": InvalidArgument,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": Conflict,
    "PERMISSION_DENIED": PermissionDenied,
    "UNAUTHENTICATED": Unauthenticated,
    "RESOURCE_EXHAUSTED": Overloaded,
    "FAILED_PRECONDITION": Conflict,
    "ABORTED": Conflict,
    "OUT_OF_RANGE": InvalidArgument,
    "UNIMPLEMENTED": NotSupported,
    "INTERNAL": ServerError,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": ServerError,
}


def error_class(reason: str, code: str) -> type[JobsError]:
    """Return the class for a refusal; unknown reasons fall back on the status code."""
    return BY_REASON.get(reason) or BY_CODE.get(code, ServerError)
