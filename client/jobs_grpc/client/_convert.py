"""Between the contract's messages and the SDK's records.

This and `_convert_*` are the only modules that see both. Absent messages become `None`, enum numbers become words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobs_grpc.client._settings import Target
from jobs_grpc.client.records.breaker import Breaker, BreakerKind, BreakerState
from jobs_grpc.client.records.decision import (
    Decision,
    DecisionOutcome,
    SkipReason,
)
from jobs_grpc.client.records.due_time import DueTime, DueTimes
from jobs_grpc.client.records.execution import (
    Execution,
    ExecutionState,
    KillReceipt,
    SignalSent,
    Trigger,
    Usage,
)
from jobs_grpc.client.records.explanation import Explanation, WaitCause, WaitReason
from jobs_grpc.client.records.fleet import Queue, QueueStatus, Worker, WorkerState
from jobs_grpc.client.records.job import (
    Applied,
    ApplyOutcome,
    Job,
    JobStatistics,
    Schedule,
    ScheduleOwner,
)
from jobs_grpc.client.records.pause import (
    Pause,
    PauseKind,
    PauseMeanwhile,
    PauseSubject,
)
from jobs_grpc.client.records.server import ServerInfo
from jobs_grpc.client.records.word import Word
from jobs_grpc.v1 import (
    breaker_service_pb2,
    execution_pb2,
    execution_service_pb2,
    fleet_service_pb2,
    job_pb2,
    job_service_pb2,
    pause_pb2,
    queue_service_pb2,
    schedule_service_pb2,
    system_service_pb2,
)
from jobs_grpc.wire import time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

WordT = TypeVar("WordT", bound=Word)


def _words(cls: type[WordT], values: Iterable[tuple[str, int]]) -> Mapping[int, WordT]:
    """Return the member for each number: EXECUTION_STATE_TIMED_OUT is `timed_out`."""
    names = {number: name for name, number in values}
    prefix = names.pop(0).removesuffix("UNSPECIFIED")
    return {
        number: cls.of(name.removeprefix(prefix).lower())
        for number, name in names.items()
    }


_STATES = _words(ExecutionState, execution_pb2.ExecutionState.items())
_TRIGGERS = _words(Trigger, execution_pb2.Trigger.items())
_WAIT_CAUSES = _words(WaitCause, execution_service_pb2.WaitCause.items())
_BREAKER_STATES = _words(BreakerState, breaker_service_pb2.BreakerState.items())
_BREAKER_KINDS = _words(BreakerKind, breaker_service_pb2.BreakerKind.items())
_APPLY_OUTCOMES = _words(ApplyOutcome, job_service_pb2.ApplyOutcome.items())
_OWNERS = _words(ScheduleOwner, job_pb2.ScheduleOwner.items())
_WORKER_STATES = _words(WorkerState, fleet_service_pb2.WorkerState.items())
_DECISIONS = _words(DecisionOutcome, schedule_service_pb2.DecisionOutcome.items())
_PAUSE_KINDS = _words(PauseKind, pause_pb2.PauseKind.items())
_MEANWHILES = _words(PauseMeanwhile, pause_pb2.PauseMeanwhile.items())
_SKIP_REASONS = _words(SkipReason, schedule_service_pb2.SkipReason.items())


def state_of(value: int) -> ExecutionState:
    return _STATES.get(value, ExecutionState.UNRECOGNIZED)


def to_timestamp(instant: datetime) -> Timestamp:
    """Return an aware instant as a message; a naive one is a `ValueError`."""
    if instant.tzinfo is None:
        raise ValueError(f"the instant {instant} needs a time zone")
    return time.timestamp((instant - _EPOCH) // _MICROSECOND)


def to_duration(seconds: float) -> Duration:
    return time.duration(round(seconds * 1_000_000))


def to_state(state: ExecutionState) -> execution_pb2.ExecutionState.ValueType:
    return execution_pb2.ExecutionState.Value(f"EXECUTION_STATE_{state.value.upper()}")


def to_trigger(trigger: Trigger) -> execution_pb2.Trigger.ValueType:
    return execution_pb2.Trigger.Value(f"TRIGGER_{trigger.value.upper()}")


def job_ref(target: Target, name: str, workspace: str | None) -> job_service_pb2.JobRef:
    """Return a job's whole name; what the call left open is the client's own."""
    return job_service_pb2.JobRef(
        namespace=target.namespace,
        workspace=target.workspace_or(workspace),
        name=name,
    )


def execution(message: execution_pb2.Execution) -> Execution:
    return Execution(
        id=message.id,
        namespace=message.namespace,
        workspace=message.workspace,
        job=message.job,
        job_revision=message.job_revision,
        type=message.type,
        state=state_of(message.state),
        trigger=_TRIGGERS.get(message.trigger, Trigger.UNRECOGNIZED),
        queue=message.queue,
        priority=message.priority,
        scheduled_for=instant_of(message, "scheduled_for"),
        created_at=instant_of(message, "created_at"),
        started_at=instant_of(message, "started_at"),
        finished_at=instant_of(message, "finished_at"),
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal,
        error=message.error,
        worker=message.worker,
        attempt=message.attempt,
        fence=message.fence,
        usage=usage_of(message.usage) if message.HasField("usage") else None,
        result_json=message.result_json,
        params=dict(message.params),
        output_bytes=message.output_bytes if message.HasField("output_bytes") else None,
        output_dropped=message.output_dropped,
        requested_by=message.requested_by,
        schedule_id=message.schedule_id,
        receipt=receipt_of(message.receipt) if message.HasField("receipt") else None,
    )


def explanation(
    message: execution_service_pb2.ExplainExecutionResponse,
) -> Explanation:
    return Explanation(
        execution_id=message.execution_id,
        state=state_of(message.state),
        summary=message.summary,
        reasons=tuple(
            WaitReason(
                cause=_WAIT_CAUSES.get(one.cause, WaitCause.UNRECOGNIZED),
                text=one.text,
                holders=tuple(one.holder_ids),
                workers=tuple(one.workers),
                until=instant_of(one, "until"),
            )
            for one in message.reasons
        ),
        line=message.line or None,
        place=message.place or None,
        waiting=message.waiting or None,
    )


def job(message: job_pb2.Job) -> Job:
    return Job(
        namespace=message.namespace,
        workspace=message.workspace,
        name=message.name,
        revision=message.revision,
        type=message.type,
        description=message.description,
        enabled=message.enabled,
        source=message.source,
        document_json=message.document_json or "{}",
        created_at=instant_of(message, "created_at"),
        updated_at=instant_of(message, "updated_at"),
        next_run_at=instant_of(message, "next_run_at"),
        active=message.active,
        statistics=_statistics(message.statistics),
        schedules=tuple(map(schedule, message.schedules)),
        pause=pause(message.pause) if message.HasField("pause") else None,
    )


def schedule(message: job_pb2.Schedule) -> Schedule:
    owner = message.owner
    return Schedule(
        id=message.id,
        name=message.name,
        rule=message.rule,
        timezone=message.timezone,
        enabled=message.enabled,
        next_due_at=instant_of(message, "next_due_at"),
        owner=_OWNERS.get(owner, ScheduleOwner.UNRECOGNIZED) if owner else None,
        namespace=message.namespace,
        workspace=message.workspace,
        job=message.job,
        entry_json=message.entry_json,
        params=dict(message.params),
        disabled_reason=message.disabled_reason,
        disabled_until=instant_of(message, "disabled_until"),
        revision=message.revision,
        created_at=instant_of(message, "created_at"),
        updated_at=instant_of(message, "updated_at"),
        waits_for=tuple(message.waits_for),
    )


def applied(message: job_service_pb2.ApplyJobsResponse.Result) -> Applied:
    return Applied(
        namespace=message.job.namespace,
        workspace=message.job.workspace,
        name=message.job.name,
        outcome=_APPLY_OUTCOMES.get(message.outcome, ApplyOutcome.UNRECOGNIZED),
        revision=message.revision,
    )


def breaker(message: breaker_service_pb2.Breaker) -> Breaker:
    return Breaker(
        name=message.name,
        namespace=message.namespace,
        kind=_BREAKER_KINDS.get(message.kind, BreakerKind.UNRECOGNIZED),
        state=_BREAKER_STATES.get(message.state, BreakerState.UNRECOGNIZED),
        failures=message.failures,
        successes=message.successes,
        until=instant_of(message, "until"),
        reason=message.reason,
        changed_at=instant_of(message, "changed_at"),
        trips=message.trips,
        probe=message.probe_id,
        worker=message.worker,
    )


def queue_status(message: queue_service_pb2.ListQueuesResponse) -> QueueStatus:
    return QueueStatus(
        queues=tuple(
            Queue(
                name=one.name,
                weight=one.weight,
                pending=one.pending,
                active=one.active,
                scheduled=one.scheduled,
                completed=one.completed,
                failed=one.failed,
            )
            for one in message.queues
        ),
        workers_total=message.workers_total,
        workers_active=message.workers_active,
        workers_idle=message.workers_idle,
        slots_total=message.slots_total,
        slots_used=message.slots_used,
    )


def worker(message: fleet_service_pb2.Worker) -> Worker:
    return Worker(
        id=message.id,
        name=message.name,
        state=_WORKER_STATES.get(message.state, WorkerState.UNRECOGNIZED),
        # A map on the wire has no order.
        labels=dict(sorted(message.labels.items())),
        slots=message.slots,
        slots_used=message.slots_used,
        functions=tuple(message.functions),
        version=message.version,
        connected_at=instant_of(message, "connected_at"),
        last_heartbeat_at=instant_of(message, "last_heartbeat_at"),
        cordoned=message.cordoned,
        cordoned_at=instant_of(message, "cordoned_at"),
        cordon_reason=message.cordon_reason,
        drain_until=instant_of(message, "drain_until"),
        own_labels=dict(sorted(message.own_labels.items())),
        no_work_reason=message.no_work_reason,
    )


def decision(message: schedule_service_pb2.Decision) -> Decision:
    reason = message.reason
    return Decision(
        schedule_id=message.schedule_id,
        namespace=message.namespace,
        workspace=message.workspace,
        job=message.job,
        due_at=instant_of(message, "due_at"),
        decided_at=instant_of(message, "decided_at"),
        outcome=_DECISIONS.get(message.outcome, DecisionOutcome.UNRECOGNIZED),
        reason=_SKIP_REASONS.get(reason, SkipReason.UNRECOGNIZED) if reason else None,
        execution_id=message.execution_id,
        holder=message.holder,
        until=instant_of(message, "until"),
        due_times=message.due_times or None,
    )


def to_reason(word: SkipReason) -> schedule_service_pb2.SkipReason.ValueType:
    return schedule_service_pb2.SkipReason.Value(f"SKIP_REASON_{word.value.upper()}")


def to_pause_kind(kind: PauseKind) -> pause_pb2.PauseKind.ValueType:
    return pause_pb2.PauseKind.Value(f"PAUSE_KIND_{kind.value.upper()}")


def to_meanwhile(word: PauseMeanwhile) -> pause_pb2.PauseMeanwhile.ValueType:
    return pause_pb2.PauseMeanwhile.Value(f"PAUSE_MEANWHILE_{word.value.upper()}")


def pause(message: pause_pb2.Pause) -> Pause:
    subject = message.subject
    return Pause(
        id=message.id,
        subject=PauseSubject(
            kind=_PAUSE_KINDS.get(subject.kind, PauseKind.UNRECOGNIZED),
            namespace=subject.namespace,
            workspace=subject.workspace,
            job=subject.job,
            schedule=subject.schedule,
            queue=subject.queue,
        ),
        note=message.note,
        who=message.who,
        since=instant_of(message, "since"),
        until=instant_of(message, "until"),
        meanwhile=_MEANWHILES.get(message.meanwhile, PauseMeanwhile.UNRECOGNIZED),
        ended_at=instant_of(message, "ended_at"),
        ended_by=message.ended_by,
    )


def due_times(message: schedule_service_pb2.ListDueTimesResponse) -> DueTimes:
    return DueTimes(
        data=tuple(
            DueTime(
                due_at=moment_of(one.due_at),
                starts_at=moment_of(one.starts_at),
                schedules=tuple(one.schedules),
                skip=(
                    _SKIP_REASONS.get(one.skip, SkipReason.UNRECOGNIZED)
                    if one.skip
                    else None
                ),
            )
            for one in message.due_times
        ),
        timezone=message.timezone or "UTC",
    )


def server_info(message: system_service_pb2.GetInfoResponse) -> ServerInfo:
    return ServerInfo(
        version=message.version,
        term=message.term,
        started_at=instant_of(message, "started_at"),
        store=message.store,
        jobs=message.jobs,
        schedules=message.schedules,
        active_executions=message.active_executions,
        timezone_data=message.timezone_data,
    )


def _statistics(message: job_pb2.JobStatistics) -> JobStatistics:
    state = message.last_state
    return JobStatistics(
        run_count=message.run_count,
        success_count=message.success_count,
        failure_count=message.failure_count,
        last_run_at=instant_of(message, "last_run_at"),
        last_success_at=instant_of(message, "last_success_at"),
        last_failure_at=instant_of(message, "last_failure_at"),
        last_error=message.last_error,
        last_state=_STATES.get(state, ExecutionState.UNRECOGNIZED) if state else None,
    )


def usage_of(message: execution_pb2.Usage) -> Usage:
    return Usage(
        cpu_user=span_of(message.cpu_user),
        cpu_system=span_of(message.cpu_system),
        peak_memory_bytes=message.peak_memory_bytes,
    )


def receipt_of(message: execution_pb2.KillReceipt) -> KillReceipt:
    return KillReceipt(
        signals=tuple(
            SignalSent(
                signal=one.signal,
                sent_at=instant_of(one, "sent_at"),
                processes=one.processes,
            )
            for one in message.signals
        ),
        survivors=tuple(message.survivors),
        output_leaked=message.output_leaked,
    )


def instant_of(message: object, name: str) -> datetime | None:
    # Every message with an instant in it; the generated classes share no typed base.
    if not message.HasField(name):  # type: ignore[attr-defined]
        return None
    return moment_of(getattr(message, name))


def moment_of(message: Timestamp) -> datetime:
    return _EPOCH + time.microseconds(message) * _MICROSECOND


def span_of(message: Duration) -> timedelta:
    return time.microseconds(message) * _MICROSECOND
