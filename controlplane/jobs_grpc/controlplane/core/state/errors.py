"""Why the core refuses an input.

    RefusedError
    ├── JobNotFoundError
    ├── ExecutionNotFoundError
    ├── QueueNotFoundError
    ├── WorkspaceNotFoundError
    ├── PauseNotFoundError
    ├── AmbiguousIdError
    ├── BreakerNotFoundError
    ├── WorkerNotFoundError
    ├── NotRunningError
    ├── NotRetryableError
    ├── BackfillNotFoundError
    ├── ScheduleNotFoundError
    ├── ScheduleExistsError
    ├── ScheduleOwnedError
    ├── RevisionMismatchError
    ├── InvalidError
    └── ProtocolMismatchError

A refused input has changed nothing. A job's failure is an outcome, never one of these.
"""

from __future__ import annotations


class RefusedError(Exception):
    """An input that cannot be carried out; `hint` is the next step for a person."""

    def __init__(self, message: str, *, hint: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field


class JobNotFoundError(RefusedError):
    """No job of that name in that workspace."""


class ExecutionNotFoundError(RefusedError):
    """No execution of that id in that namespace."""


class QueueNotFoundError(RefusedError):
    """A job names a queue that does not exist."""


class WorkspaceNotFoundError(RefusedError):
    """No job lives in that workspace."""


class PauseNotFoundError(RefusedError):
    """Nothing of that kind is paused."""


class AmbiguousIdError(RefusedError):
    """A prefix names more than one execution."""


class WorkerNotFoundError(RefusedError):
    """No worker of that id or name has ever been here."""


class BreakerNotFoundError(RefusedError):
    """No circuit breaker of that name in that namespace."""


class NotRunningError(RefusedError):
    """There is nothing to cancel: the execution is final, or the job does not run."""


class BackfillNotFoundError(RefusedError):
    """No backfill of that id in that namespace, or none that is unfinished."""


class ScheduleNotFoundError(RefusedError):
    """The job has no such schedule."""


class ScheduleExistsError(RefusedError):
    """The job has a schedule of that name already."""


class ScheduleOwnedError(RefusedError):
    """The job's document owns the schedule; it is changed there."""


class RevisionMismatchError(RefusedError):
    """Somebody else has changed the thing in between."""


class NotRetryableError(RefusedError):
    """It has not ended, or there is nothing to be made good: it succeeded."""


class InvalidError(RefusedError):
    """The request is malformed."""


class ProtocolMismatchError(RefusedError):
    """The worker and this control plane share no protocol version."""
