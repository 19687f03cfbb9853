"""Between the contract's plan and the SDK's."""

from __future__ import annotations

from collections.abc import Iterable

from jobs_grpc.client._convert import (
    _APPLY_OUTCOMES,
    _words,
    instant_of,
    moment_of,
    span_of,
)
from jobs_grpc.client.records.job import ApplyOutcome
from jobs_grpc.client.records.plan import (
    ClockChange,
    DueTimeChange,
    JobPlan,
    KeyChange,
    Plan,
    PlannedDueTime,
)
from jobs_grpc.v1 import job_service_pb2

_DUE_TIME_CHANGES = _words(DueTimeChange, job_service_pb2.DueTimeChange.items())


def plan(answers: Iterable[job_service_pb2.PlanJobsResponse]) -> Plan:
    """Return the plan that several answers make up; instants are those of the first."""
    found = list(answers)
    return Plan(
        planned_at=instant_of(found[0], "planned_at") if found else None,
        jobs=tuple(_job_plan(one) for answer in found for one in answer.plans),
        workers_connected=found[0].workers_connected if found else 0,
    )


def _job_plan(message: job_service_pb2.JobPlan) -> JobPlan:
    is_known = message.HasField("expected_duration")
    return JobPlan(
        namespace=message.job.namespace,
        workspace=message.job.workspace,
        name=message.job.name,
        outcome=_APPLY_OUTCOMES.get(message.outcome, ApplyOutcome.UNRECOGNIZED),
        revision=message.revision,
        changes=tuple(
            KeyChange(
                key=one.key, before_json=one.before_json, after_json=one.after_json
            )
            for one in message.changes
        ),
        due_times=tuple(
            PlannedDueTime(
                due_at=moment_of(one.due_at),
                change=_DUE_TIME_CHANGES.get(one.change, DueTimeChange.UNRECOGNIZED),
                blackout=one.blackout,
            )
            for one in message.due_times
        ),
        clock_changes=tuple(
            ClockChange(
                at=moment_of(one.at), timezone=one.timezone, shift=span_of(one.shift)
            )
            for one in message.clock_changes
        ),
        expected_duration=span_of(message.expected_duration) if is_known else None,
        measured=message.measured,
        collisions=tuple(map(moment_of, message.collisions)),
        overlap=message.overlap,
        workers=tuple(message.workers),
        follows_ends=message.follows_ends,
    )
