"""Between the records of the core and the messages of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from jobs_grpc.controlplane.core.rows.changes import (
    DecisionRow,
    ExecutionRow,
    JobRecord,
    StatisticsRow,
)
from jobs_grpc.controlplane.core.rows.story import AttemptRow
from jobs_grpc.controlplane.core.schedules.alarms import rule_now
from jobs_grpc.controlplane.core.schedules.joins import waits_for
from jobs_grpc.controlplane.core.schedules.upcoming import Upcoming, next_start
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.job import (
    STANDALONE,
    JobKey,
    JobSpec,
    text_of,
)
from jobs_grpc.controlplane.core.state.live import Job, Schedule
from jobs_grpc.controlplane.core.state.pauses import Pauses
from jobs_grpc.jobfile import label_fault
from jobs_grpc.v1 import (
    execution_pb2,
    job_pb2,
    job_service_pb2,
    schedule_service_pb2,
)
from jobs_grpc.v1.execution_pb2 import ExecutionState, Trigger
from jobs_grpc.v1.schedule_service_pb2 import DecisionOutcome, SkipReason
from jobs_grpc.wire.channel import LONGEST_DAYS
from jobs_grpc.wire.time import duration, is_valid, microseconds, timestamp

from .interceptor import principal

_LONGEST: Final = LONGEST_DAYS * 86_400_000_000


def namespace_of(given: str) -> str:
    """Return the namespace of a request: the one it names, else the caller's."""
    return given or principal().namespace


def key_of(ref: job_service_pb2.JobRef) -> JobKey:
    """Return the key of the job that a request names."""
    return (namespace_of(ref.namespace), ref.workspace or STANDALONE, ref.name)


def instant(request: Message, field: str) -> int | None:
    """Return the instant in a field of a request; `None` if it says none."""
    if not request.HasField(field):
        return None
    given = getattr(request, field)
    if not is_valid(given):
        raise InvalidError(f"{field} is no instant of the years 1 to 9999", field=field)
    return microseconds(given)


def length(request: Message, field: str, *, least: int = 0) -> int | None:
    """Return the microseconds of a duration in a request; `None` if it says none.

    Everything that is counted from now stays within the calendar by this limit.
    """
    if not request.HasField(field):
        return None
    found = microseconds(getattr(request, field))
    if found < least:
        rule = "longer than zero" if least else "not negative"
        raise InvalidError(f"{field} must be {rule}", field=field)
    if found > _LONGEST:
        rule = f"at most {LONGEST_DAYS} days"
        raise InvalidError(f"{field} must be {rule}", field=field)
    return found


def labels(given: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a worker; refuse what no selector of a job could name."""
    for key, value in given.items():
        fault = label_fault(key, value)
        if fault:
            raise InvalidError(f'label "{key}": {fault}', field="labels")
    return dict(given)


def state_from_word(word: str) -> ExecutionState.ValueType:
    """Return the contract's value of a state; unspecified for the empty word."""
    if not word:
        return ExecutionState.EXECUTION_STATE_UNSPECIFIED
    return ExecutionState.Value(f"EXECUTION_STATE_{word.upper()}")


def _instant(microseconds: int | None) -> Timestamp | None:
    return None if microseconds is None else timestamp(microseconds)


def execution(row: ExecutionRow) -> execution_pb2.Execution:
    """Return an execution as the contract tells it."""
    message = execution_pb2.Execution(
        id=row.id,
        namespace=row.namespace,
        workspace=row.workspace,
        job=row.job,
        job_revision=row.revision,
        state=state_from_word(row.state),
        trigger=Trigger.Value(f"TRIGGER_{row.trigger.upper()}"),
        queue=row.queue,
        priority=row.priority,
        scheduled_for=_instant(row.scheduled_for),
        created_at=_instant(row.created_at),
        started_at=_instant(row.started_at),
        finished_at=_instant(row.finished_at),
        signal=row.signal,
        error=row.error,
        worker=row.worker,
        attempt=row.attempt,
        fence=row.fence,
        result_json=row.result_json,
        params=_params(row.params_json),
        requested_by=row.requested_by,
        schedule_id=row.schedule_id,
        output_dropped=row.output_dropped,
        type=row.type,
    )
    put_ending(message, row)
    return message


def put_ending(
    message: execution_pb2.Execution | execution_pb2.Attempt,
    row: ExecutionRow | AttemptRow,
) -> None:
    """Put into a message how an attempt ended, as far as it is known."""
    if row.exit_code is not None:
        message.exit_code = row.exit_code
    if row.output_bytes is not None:
        message.output_bytes = row.output_bytes
    if row.cpu_user is not None:
        message.usage.CopyFrom(
            execution_pb2.Usage(
                cpu_user=duration(row.cpu_user),
                cpu_system=duration(row.cpu_system or 0),
                peak_memory_bytes=row.peak_memory or 0,
            )
        )
    if row.receipt_json:
        message.receipt.CopyFrom(_receipt_from_json(row.receipt_json))


def _params(text: str) -> dict[str, str]:
    if text == "{}":
        return {}
    values: dict[str, Any] = json.loads(text)
    return {name: text_of(value) for name, value in values.items()}


def receipt_to_json(message: execution_pb2.KillReceipt) -> str:
    """Return a receipt as it is kept."""
    return json.dumps(
        {
            "signals": [
                [one.signal, one.sent_at.ToMicroseconds(), one.processes]
                for one in message.signals
            ],
            "survivors": list(message.survivors),
            "output_leaked": message.output_leaked,
        }
    )


def _receipt_from_json(text: str) -> execution_pb2.KillReceipt:
    """Return a receipt as the contract tells it."""
    kept = json.loads(text)
    return execution_pb2.KillReceipt(
        signals=[
            execution_pb2.KillReceipt.SignalSent(
                signal=signal, sent_at=timestamp(at), processes=processes
            )
            for signal, at, processes in kept["signals"]
        ],
        survivors=kept["survivors"],
        output_leaked=kept["output_leaked"],
    )


def schedule(one: Schedule, *, now: int) -> job_pb2.Schedule:
    """Return a live schedule as the contract tells it; its next due time is computed."""
    job, spec, said = one.job, one.spec, one.object
    namespace, workspace, name = job.spec.key
    is_enabled = job.enabled and one.is_enabled_at(now)
    until = None if one.is_enabled_at(now) else one.disabled_until
    next_due = None
    if is_enabled or (job.enabled and until is not None):
        next_due = rule_now(one).next_after(
            now if until is None else max(now, until - 1)
        )
    owner = job_pb2.ScheduleOwner
    return job_pb2.Schedule(
        id=spec.id,
        name=spec.name,
        rule=spec.rule.canonical,
        timezone=spec.rule.timezone,
        enabled=is_enabled,
        next_due_at=_instant(next_due),
        owner=(
            owner.SCHEDULE_OWNER_DOCUMENT
            if one.is_of_document
            else owner.SCHEDULE_OWNER_API
        ),
        namespace=namespace,
        workspace=workspace,
        job=name,
        entry_json=said.entry_json if said else "",
        params={key: text_of(value) for key, value in spec.params.items()},
        disabled_reason="" if one.is_enabled_at(now) else one.disabled_reason,
        disabled_until=_instant(until),
        revision=said.revision if said else 0,
        created_at=_instant(said.created_at if said else job.created_at),
        updated_at=_instant(said.updated_at if said else job.updated_at),
        waits_for=waits_for(one),
    )


def job(
    record: JobRecord,
    spec: JobSpec | None,
    *,
    now: int,
    live: Job | None = None,
    pauses: Pauses | None = None,
) -> job_pb2.Job:
    """Return a definition as the contract tells it; next due times are computed.

    Without a spec it is one that this program cannot read, and so does not run. `live`
    is the job as the term has it, with the pauses in force; without a term the
    document's schedules are told.
    """
    row = record.job
    is_enabled = bool(row.enabled) and spec is not None
    known = live.schedules.values() if live is not None else ()
    schedules = [schedule(one, now=now) for one in known]
    upcoming = None
    if live is not None:
        upcoming = next_start(live, pauses or Pauses(), now)
    for one in spec.schedules if spec and live is None else ():
        enabled = is_enabled and one.enabled
        due = one.rule.next_after(now) if enabled else None
        upcoming = min((at for at in (upcoming, due) if at is not None), default=None)
        schedules.append(
            job_pb2.Schedule(
                id=one.id,
                name=one.name,
                rule=one.rule.canonical,
                timezone=one.rule.timezone,
                enabled=enabled,
                next_due_at=_instant(due),
            )
        )
    return job_pb2.Job(
        namespace=row.namespace,
        workspace=row.workspace,
        name=row.name,
        revision=row.revision,
        document_json=row.document_json,
        type=spec.work.type if spec else "",
        description=spec.description if spec else "",
        enabled=is_enabled,
        source=row.source,
        created_at=_instant(row.created_at),
        updated_at=_instant(row.updated_at),
        statistics=_statistics(record.statistics),
        next_run_at=_instant(upcoming),
        active=record.active,
        schedules=schedules,
    )


def _statistics(row: StatisticsRow) -> job_pb2.JobStatistics:
    return job_pb2.JobStatistics(
        run_count=row.run_count,
        success_count=row.success_count,
        failure_count=row.failure_count,
        last_run_at=_instant(row.last_run_at),
        last_success_at=_instant(row.last_success_at),
        last_failure_at=_instant(row.last_failure_at),
        last_error=row.last_error,
        last_state=state_from_word(row.last_state),
    )


def due_time(one: Upcoming) -> schedule_service_pb2.DueTime:
    """Return a due time to come as the contract tells it."""
    return schedule_service_pb2.DueTime(
        due_at=timestamp(one.due_at),
        starts_at=timestamp(one.starts_at),
        schedules=one.schedules,
        skip=_skip_reason(one.skip),
    )


def decision(row: DecisionRow) -> schedule_service_pb2.Decision:
    """Return what became of a due time, as the contract tells it."""
    return schedule_service_pb2.Decision(
        schedule_id=row.schedule_id,
        namespace=row.namespace,
        workspace=row.workspace,
        job=row.job,
        due_at=_instant(row.due_at),
        decided_at=_instant(row.decided_at),
        outcome=DecisionOutcome.Value(f"DECISION_OUTCOME_{row.outcome.upper()}"),
        reason=_skip_reason(row.reason),
        execution_id=row.execution_id,
        holder=row.holder,
        until=_instant(row.until),
        due_times=row.due_times or 0,
    )


def _skip_reason(word: str) -> SkipReason.ValueType:
    if not word:
        return SkipReason.SKIP_REASON_UNSPECIFIED
    return SkipReason.Value(f"SKIP_REASON_{word.upper()}")
