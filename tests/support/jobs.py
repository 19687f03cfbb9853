"""Jobs, inputs and rows as tests want them: valid, small, every field replaceable."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Final

from jobs_grpc.controlplane.core.rows.changes import (
    CreatedRow,
    DecisionRow,
    EndedRow,
    ExtendedRow,
    HoldRow,
    JobRow,
    MovedRow,
    PauseRow,
    QueueRow,
    ScheduleRow,
    StatisticsRow,
    WorkerRow,
)
from jobs_grpc.controlplane.core.rows.fleet import BreakerRow
from jobs_grpc.controlplane.core.rows.schedules import (
    BackfillRow,
    BackfillStartRow,
    ScheduleObjectRow,
)
from jobs_grpc.controlplane.core.rows.story import AttemptRow, EventRow
from jobs_grpc.controlplane.core.state.execution import Result
from jobs_grpc.controlplane.core.state.inputs import (
    ApplyJobs,
    Held,
    OpenSession,
    Submission,
    Submit,
)
from jobs_grpc.controlplane.core.state.job import STANDALONE, JobKey, JobSpec
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.leader.specs import spec_of
from jobs_grpc.jobfile import JobDocument

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
# 2026-03-02T12:00:00Z, a Monday.
NOON: Final = 1_772_452_800 * SECOND
NAMESPACE: Final = "default"

_numbers = count(1)


def document(**keys: Any) -> JobDocument:
    """Return a job document; `name` and `command` are there unless said otherwise."""
    raw: dict[str, Any] = {"name": "backup", **keys}
    if not {"command", "script", "function"} & set(raw):
        raw["command"] = "true"
    return JobDocument.model_validate(raw)


def spec(**keys: Any) -> JobSpec:
    """Return the spec of a job document."""
    return spec_of(document(**keys))


def key(name: str = "backup", workspace: str = STANDALONE) -> JobKey:
    return (NAMESPACE, workspace, name)


def apply(*specs: JobSpec, source: str = "api", validate_only: bool = False) -> Any:
    return ApplyJobs(
        specs=specs, sources=(source,) * len(specs), validate_only=validate_only
    )


def submission(
    name: str = "backup",
    *,
    id_: str = "",
    spec: JobSpec | None = None,
    params: Mapping[str, Any] | None = None,
    not_before: int | None = None,
    request_id: str | None = None,
) -> Submission:
    """Return a submission; an ad hoc one if there is a spec."""
    return Submission(
        id=id_ or f"execution-{next(_numbers)}",
        params=params or {},
        name="" if spec else name,
        spec=spec,
        not_before=not_before,
        request_id=request_id,
    )


def submit(*submissions: Submission, namespace: str = NAMESPACE) -> Submit:
    return Submit(
        namespace=namespace,
        workspace=STANDALONE,
        trigger="api",
        requested_by="alice",
        submissions=submissions or (submission(),),
    )


def hello(
    worker: str = "w1",
    *,
    stream: int,
    new_session_id: str = "",
    slots: int = 1,
    labels: Mapping[str, str] | None = None,
    functions: tuple[str, ...] = (),
    held: tuple[Held, ...] = (),
) -> OpenSession:
    return OpenSession(
        stream=stream,
        new_session_id=new_session_id or f"session-{next(_numbers)}",
        worker_id=f"id-of-{worker}",
        worker=worker,
        labels=labels or {},
        slots=slots,
        functions=functions,
        held=held,
        version="0.1.0",
    )


def result(move: Move = Move.SUCCEED, *, at: int = NOON, **fields: Any) -> Result:
    exit_code = {Move.SUCCEED: 0, Move.FAIL: 1}.get(move)
    return Result(**{"move": move, "finished_at": at, "exit_code": exit_code, **fields})


# Rows, for tests of stores.


def job_row(job_id: int = 1, **fields: Any) -> JobRow:
    name = fields.pop("name", f"job-{job_id}")
    values: dict[str, Any] = {
        "job_id": job_id,
        "namespace": NAMESPACE,
        "workspace": STANDALONE,
        "name": name,
        "revision": 1,
        "document_json": f'{{"name":"{name}"}}',
        "enabled_override": None,
        "enabled": 1,
        "source": "api",
        "created_at": NOON,
        "updated_at": NOON,
    }
    return JobRow(**{**values, **fields})


def created_row(seq: int = 1, **fields: Any) -> CreatedRow:
    values: dict[str, Any] = {
        "seq": seq,
        "id": f"e{seq:04}",
        "namespace": NAMESPACE,
        "workspace": STANDALONE,
        "job": "job-1",
        "job_id": 1,
        "revision": 1,
        "type": "command",
        "trigger": "api",
        "queue": "default",
        "priority": 3,
        "scheduled_for": NOON,
        "created_at": NOON,
        "requested_by": "alice",
        "schedule_id": "",
        "request_id": None,
        "params_json": "{}",
        "document_json": None,
        "state": "pending",
        "phase": "none",
        "attempt": 0,
        "fence": 0,
        "worker_id": "",
        "worker": "",
        "session_id": "",
        "started_at": None,
        "cancel_reason": "",
    }
    return CreatedRow(**{**values, **fields})


def moved_row(seq: int = 1, **fields: Any) -> MovedRow:
    values: dict[str, Any] = {
        "state": "running",
        "phase": "started",
        "attempt": 1,
        "fence": seq * 100,
        "worker_id": "id-of-w1",
        "worker": "w1",
        "session_id": "session-1",
        "started_at": NOON,
        "cancel_reason": "",
        "seq": seq,
    }
    return MovedRow(**{**values, **fields})


def ended_row(seq: int = 1, **fields: Any) -> EndedRow:
    values: dict[str, Any] = {
        "state": "succeeded",
        "started_at": NOON,
        "finished_at": NOON + SECOND,
        "exit_code": 0,
        "signal": "",
        "error": "",
        "result_json": "",
        "output_bytes": 12,
        "output_dropped": 0,
        "cpu_user": 1,
        "cpu_system": 2,
        "peak_memory": 3,
        "receipt_json": "",
        "seq": seq,
    }
    return EndedRow(**{**values, **fields})


def attempt_row(seq: int = 1, fence: int = 100, **fields: Any) -> AttemptRow:
    values: dict[str, Any] = {
        "attempt": 1,
        "worker_id": "id-of-w1",
        "worker": "w1",
        "leased_at": NOON,
        "started_at": NOON + 1,
        "finished_at": NOON + SECOND,
        "outcome": "failed",
        "exit_code": 1,
        "signal": "",
        "error": "exit status 1",
        "output_bytes": 12,
        "output_dropped": 3,
        "cpu_user": 4,
        "cpu_system": 5,
        "peak_memory": 6,
        "receipt_json": "{}",
    }
    return AttemptRow(execution_seq=seq, fence=fence, **{**values, **fields})


def event_row(seq: int = 1, n: int = 1, **fields: Any) -> EventRow:
    values: dict[str, Any] = {"at": NOON, "kind": "lost", "detail_json": '{"fence": 7}'}
    return EventRow(execution_seq=seq, n=n, **{**values, **fields})


def decision_row(
    schedule_id: str = "s1", due_at: int = NOON, **fields: Any
) -> DecisionRow:
    values: dict[str, Any] = {
        "schedule_id": schedule_id,
        "due_at": due_at,
        "namespace": NAMESPACE,
        "workspace": STANDALONE,
        "job": "job-1",
        "decided_at": due_at,
        "outcome": "started",
        "reason": "",
        "execution_id": "e0001",
        "holder": "",
    }
    return DecisionRow(**{**values, **fields})


def schedule_row(schedule_id: str = "s1", **fields: Any) -> ScheduleRow:
    values: dict[str, Any] = {"job_id": 1, "name": "", "cursor": NOON}
    return ScheduleRow(schedule_id=schedule_id, **{**values, **fields})


def backfill_row(seq: int = 1, **fields: Any) -> BackfillRow:
    values: dict[str, Any] = {
        "id": f"b{seq:04}",
        "namespace": NAMESPACE,
        "workspace": STANDALONE,
        "job": "job-1",
        "job_id": 1,
        "revision": 1,
        "schedules_json": '[{"id":"s1","name":"","entry":""}]',
        "start": NOON - DAY,
        "end": NOON,
        "newest_first": 0,
        "parallel": 2,
        "priority": 5,
        "total": 24,
        "requested_by": "alice",
        "created_at": NOON,
        "updated_at": NOON,
        "state": "running",
        "cursor": None,
        "started": 0,
        "left_out": 0,
        "succeeded": 0,
        "failed": 0,
        "cancelled": 0,
        "reason": "",
        "finished_at": None,
    }
    return BackfillRow(seq=seq, **{**values, **fields})


def backfill_start_row(schedule_id: str = "s1", due_at: int = NOON) -> BackfillStartRow:
    return BackfillStartRow(schedule_id, due_at, "b0001", f"e-{schedule_id}-{due_at}")


def schedule_object_row(schedule_id: str = "s1", **fields: Any) -> ScheduleObjectRow:
    values: dict[str, Any] = {
        "job_id": 1,
        "entry_json": '{"every":"1h"}',
        "revision": 1,
        "enabled": None,
        "disabled_reason": "",
        "disabled_until": None,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return ScheduleObjectRow(schedule_id=schedule_id, **{**values, **fields})


def statistics_row(job_id: int = 1, **fields: Any) -> StatisticsRow:
    values: dict[str, Any] = {
        "run_count": 3,
        "success_count": 2,
        "failure_count": 1,
        "last_run_at": NOON,
        "last_success_at": NOON,
        "last_failure_at": NOON - HOUR,
        "last_error": "",
        "last_state": "succeeded",
    }
    return StatisticsRow(job_id=job_id, **{**values, **fields})


def hold_row(seq: int = 1, **fields: Any) -> HoldRow:
    values: dict[str, Any] = {"reason": "overlap", "subject": "1", "since": NOON}
    return HoldRow(seq=seq, **{**values, **fields})


def pause_row(pause_id: str = "p1", **fields: Any) -> PauseRow:
    values: dict[str, Any] = {
        "kind": "job",
        "namespace": NAMESPACE,
        "workspace": STANDALONE,
        "job": "job-1",
        "schedule_id": "",
        "queue": "",
        "note": "",
        "who": "alice",
        "since": NOON,
        "until": None,
        "meanwhile": "drop",
        "ended_at": None,
        "ended_by": "",
    }
    return PauseRow(pause_id=pause_id, **{**values, **fields})


def extended_row(
    schedule_id: str = "s1", due_at: int = NOON, **fields: Any
) -> ExtendedRow:
    values: dict[str, Any] = {
        "until": NOON + HOUR,
        "due_times": 7,
        "decided_at": NOON + HOUR,
    }
    return ExtendedRow(schedule_id=schedule_id, due_at=due_at, **{**values, **fields})


def breaker_row(**fields: Any) -> BreakerRow:
    values: dict[str, Any] = {
        "namespace": NAMESPACE,
        "job": "",
        "dependency": "",
        "worker": "",
        "state": "open",
        "failures": 0,
        "failing_since": NOON,
        "successes": 0,
        "recent_json": "[]",
        "until": NOON + MINUTE,
        "reason": "5 failures in a row",
        "changed_at": NOON,
        "trips": 1,
        "probe": "",
    }
    return BreakerRow(**{**values, **fields})


def queue_row(name: str = "default", **fields: Any) -> QueueRow:
    values: dict[str, Any] = {"weight": 3, "completed": 5, "failed": 1}
    return QueueRow(name=name, **{**values, **fields})


def worker_row(name: str = "w1", **fields: Any) -> WorkerRow:
    values: dict[str, Any] = {
        "worker_id": f"id-of-{name}",
        "name": name,
        "labels_json": "{}",
        "slots": 4,
        "functions_json": "[]",
        "version": "0.1.0",
        "connected_at": NOON,
        "last_seen_at": NOON,
    }
    return WorkerRow(**{**values, **fields})
