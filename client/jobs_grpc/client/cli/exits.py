"""The exit codes: what scripts rely on.

0    done
1    any other error
2    wrong usage
3    not found
4    not logged in, or not allowed
5    conflict: it exists, it is not running, another revision stands
6    server unreachable, overloaded or no answer in time; safe to try again
7    a job file is not valid; nothing was changed
8    nothing was changed, but something would be (only from diff and apply --plan)
20   the execution failed            (only these four come from
21   the execution timed out          waiting for an execution:
22   the execution was cancelled      --wait, --follow and
23   the execution was lost           `execution wait`)
130  interrupted; an execution that was waited for goes on
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from jobs_grpc.client import _errors
from jobs_grpc.client.records.execution import ExecutionState

if TYPE_CHECKING:
    from jobs_grpc.client.records.execution import Execution


class Exit(IntEnum):
    """An exit code by its meaning."""

    DONE = 0
    OTHER = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    CONFLICT = 5
    UNREACHABLE = 6
    FILE_INVALID = 7
    WOULD_CHANGE = 8
    FAILED = 20
    TIMED_OUT = 21
    CANCELLED = 22
    LOST = 23
    INTERRUPTED = 130


OF_ERROR: Final[Mapping[type[_errors.JobsError], Exit]] = {
    _errors.JobsError: Exit.OTHER,
    _errors.InvalidArgument: Exit.USAGE,
    _errors.NotFound: Exit.NOT_FOUND,
    _errors.Conflict: Exit.CONFLICT,
    _errors.NotRunning: Exit.CONFLICT,
    _errors.NotSupported: Exit.OTHER,
    _errors.Unauthenticated: Exit.NOT_ALLOWED,
    _errors.PermissionDenied: Exit.NOT_ALLOWED,
    _errors.Unavailable: Exit.UNREACHABLE,
    _errors.Overloaded: Exit.UNREACHABLE,
    _errors.DeadlineExceeded: Exit.UNREACHABLE,
    _errors.ServerError: Exit.OTHER,
    _errors.ExecutionFailed: Exit.FAILED,
}

OF_STATE: Final[Mapping[ExecutionState, Exit]] = {
    ExecutionState.SUCCEEDED: Exit.DONE,
    ExecutionState.FAILED: Exit.FAILED,
    ExecutionState.TIMED_OUT: Exit.TIMED_OUT,
    ExecutionState.CANCELLED: Exit.CANCELLED,
    ExecutionState.LOST: Exit.LOST,
    # It never ran, and never will.
    ExecutionState.SKIPPED: Exit.LOST,
}


def of_error(error: _errors.JobsError) -> Exit:
    """Return the code for an error of the SDK."""
    if error.reason == "JOB_INVALID":
        return Exit.FILE_INVALID
    return next(OF_ERROR[one] for one in type(error).__mro__ if one in OF_ERROR)


def of_execution(execution: Execution, *, pass_through: bool = False) -> int:
    """Return the code for an ended execution; the job's own one where that is wanted."""
    if pass_through and execution.state is ExecutionState.FAILED:
        if execution.exit_code:
            return execution.exit_code
        number = _signal_number(execution.signal)
        if number:
            # As every shell reports a process that a signal ended.
            return 128 + number
    return OF_STATE.get(execution.state, Exit.OTHER)


def _signal_number(name: str) -> int:
    import signal

    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        return 0
