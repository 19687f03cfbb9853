"""The async SDK of jobs-grpc.

    async with Client.connect("127.0.0.1:7420") as client:
        execution = await client.jobs.run("nightly-backup")
        async for event in execution.output():
            ...
        await execution.result()

Everything public is named here. The names are loaded when they are first used, because
the CLI lives in this package too and must start without gRPC.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs_grpc.client._client import Client
    from jobs_grpc.client._errors import (
        Conflict,
        DeadlineExceeded,
        ExecutionFailed,
        InvalidArgument,
        JobsError,
        NotFound,
        NotRunning,
        NotSupported,
        Overloaded,
        PermissionDenied,
        ServerError,
        Unauthenticated,
        Unavailable,
        Violation,
    )
    from jobs_grpc.client._executions import ExecutionHandle
    from jobs_grpc.client._submission import Submission
    from jobs_grpc.client.records.backfill import (
        Backfill,
        BackfillOrder,
        BackfillState,
    )
    from jobs_grpc.client.records.breaker import Breaker, BreakerKind, BreakerState
    from jobs_grpc.client.records.decision import (
        Decision,
        DecisionOutcome,
        DueTimeAnswer,
        DueTimeKind,
        SkipReason,
    )
    from jobs_grpc.client.records.due_time import DueTime, DueTimes
    from jobs_grpc.client.records.execution import (
        Attempt,
        Execution,
        ExecutionLink,
        ExecutionState,
        KillReceipt,
        SignalSent,
        Trigger,
        Usage,
    )
    from jobs_grpc.client.records.explanation import (
        Explanation,
        WaitCause,
        WaitReason,
    )
    from jobs_grpc.client.records.fleet import Queue, QueueStatus, Worker, WorkerState
    from jobs_grpc.client.records.job import (
        Applied,
        ApplyOutcome,
        Job,
        JobStatistics,
        Schedule,
        ScheduleOwner,
    )
    from jobs_grpc.client.records.output import (
        Gap,
        Lagged,
        OutputEnd,
        OutputPiece,
        OutputStream,
    )
    from jobs_grpc.client.records.page import Page
    from jobs_grpc.client.records.pause import (
        Pause,
        PauseKind,
        PauseMeanwhile,
        PauseSubject,
    )
    from jobs_grpc.client.records.plan import (
        ClockChange,
        DueTimeChange,
        JobPlan,
        KeyChange,
        Plan,
        PlannedDueTime,
    )
    from jobs_grpc.client.records.server import ServerInfo
    from jobs_grpc.client.records.story import (
        DeadLetter,
        Requeued,
        Trace,
        TraceEntry,
    )

_HOME = {
    "_client": ("Client",),
    "_errors": (
        "Conflict",
        "DeadlineExceeded",
        "ExecutionFailed",
        "InvalidArgument",
        "JobsError",
        "NotFound",
        "NotRunning",
        "NotSupported",
        "Overloaded",
        "PermissionDenied",
        "ServerError",
        "Unauthenticated",
        "Unavailable",
        "Violation",
    ),
    "_executions": ("ExecutionHandle",),
    "_submission": ("Submission",),
    "records.breaker": ("Breaker", "BreakerKind", "BreakerState"),
    "records.backfill": ("Backfill", "BackfillOrder", "BackfillState"),
    "records.decision": (
        "Decision",
        "DecisionOutcome",
        "DueTimeAnswer",
        "DueTimeKind",
        "SkipReason",
    ),
    "records.due_time": ("DueTime", "DueTimes"),
    "records.execution": (
        "Attempt",
        "Execution",
        "ExecutionLink",
        "ExecutionState",
        "KillReceipt",
        "SignalSent",
        "Trigger",
        "Usage",
    ),
    "records.explanation": ("Explanation", "WaitCause", "WaitReason"),
    "records.fleet": ("Queue", "QueueStatus", "Worker", "WorkerState"),
    "records.job": (
        "Applied",
        "ApplyOutcome",
        "Job",
        "JobStatistics",
        "Schedule",
        "ScheduleOwner",
    ),
    "records.output": (
        "Gap",
        "Lagged",
        "OutputEnd",
        "OutputPiece",
        "OutputStream",
    ),
    "records.page": ("Page",),
    "records.pause": ("Pause", "PauseKind", "PauseMeanwhile", "PauseSubject"),
    "records.plan": (
        "ClockChange",
        "DueTimeChange",
        "JobPlan",
        "KeyChange",
        "Plan",
        "PlannedDueTime",
    ),
    "records.server": ("ServerInfo",),
    "records.story": ("DeadLetter", "Requeued", "Trace", "TraceEntry"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Applied",
    "ApplyOutcome",
    "Attempt",
    "Backfill",
    "BackfillOrder",
    "BackfillState",
    "Breaker",
    "BreakerKind",
    "BreakerState",
    "Client",
    "ClockChange",
    "Conflict",
    "DeadLetter",
    "DeadlineExceeded",
    "Decision",
    "DecisionOutcome",
    "DueTime",
    "DueTimeAnswer",
    "DueTimeChange",
    "DueTimeKind",
    "DueTimes",
    "Execution",
    "ExecutionFailed",
    "ExecutionHandle",
    "ExecutionLink",
    "ExecutionState",
    "Explanation",
    "Gap",
    "InvalidArgument",
    "Job",
    "JobPlan",
    "JobStatistics",
    "JobsError",
    "KeyChange",
    "KillReceipt",
    "Lagged",
    "NotFound",
    "NotRunning",
    "NotSupported",
    "OutputEnd",
    "OutputPiece",
    "OutputStream",
    "Overloaded",
    "Page",
    "Pause",
    "PauseKind",
    "PauseMeanwhile",
    "PauseSubject",
    "PermissionDenied",
    "Plan",
    "PlannedDueTime",
    "Queue",
    "QueueStatus",
    "Requeued",
    "Schedule",
    "ScheduleOwner",
    "ServerError",
    "ServerInfo",
    "SignalSent",
    "SkipReason",
    "Submission",
    "Trace",
    "TraceEntry",
    "Trigger",
    "Unauthenticated",
    "Unavailable",
    "Usage",
    "Violation",
    "WaitCause",
    "WaitReason",
    "Worker",
    "WorkerState",
]

if not TYPE_CHECKING:  # for a type checker a name that is not there is an error

    def __getattr__(name: str) -> object:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
