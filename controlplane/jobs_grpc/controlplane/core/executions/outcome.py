"""What the result of an attempt means for its execution, in words."""

from __future__ import annotations

from typing import Final

from jobs_grpc.controlplane.core.state.execution import Execution, Result
from jobs_grpc.controlplane.core.state.states import Move

from .deadlines import is_overdue

# What a worker says of an attempt that printed nothing for too long.
SILENT: Final = "(timeouts.silence)"


def explained(execution: Execution, result: Result) -> Result:
    """Say in words why an execution did not succeed, where its worker did not."""
    if result.move is Move.CANCEL and is_overdue(execution):
        return result._replace(move=Move.TIME_OUT, error=execution.cancel_reason)
    if result.error or result.move is Move.SUCCEED:
        return result
    match result.move:
        case Move.CANCEL:
            error = execution.cancel_reason or "cancelled"
        case Move.TIME_OUT:
            error = f"timed out after {execution.spec.timeout / 1_000_000:g}s"
        case _ if result.signal:
            error = f"ended by signal {result.signal}"
        case _:
            error = f"Command failed: exit status {result.exit_code}"
    return result._replace(error=error)


def never_begun(execution: Execution, result: Result) -> Result:
    """Return the truth about a lost attempt that turns out never to have begun.

    It is cancelled only if somebody asked for that.
    """
    if execution.cancel_reason:
        return result
    return result._replace(move=Move.FAIL, error=f"it was never begun: {result.error}")
