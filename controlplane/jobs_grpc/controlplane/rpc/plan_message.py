"""A plan as the contract tells it."""

from __future__ import annotations

from collections.abc import Iterable

from jobs_grpc.controlplane.core.state.inputs import Applied
from jobs_grpc.controlplane.core.state.job import JobSpec
from jobs_grpc.controlplane.leader.planning import Plan
from jobs_grpc.v1 import job_service_pb2 as pb
from jobs_grpc.wire.time import duration, timestamp


def job_plan(
    applied: Applied,
    spec: JobSpec,
    plan: Plan,
    *,
    length: int | None,
    measured: int,
    workers: Iterable[str],
) -> pb.JobPlan:
    """Return the message of one document's plan."""
    namespace, workspace, name = applied.key
    return pb.JobPlan(
        job=pb.JobRef(namespace=namespace, workspace=workspace, name=name),
        outcome=pb.ApplyOutcome.Value(f"APPLY_OUTCOME_{applied.outcome.upper()}"),
        revision=applied.revision,
        changes=[
            pb.KeyChange(key=one.key, before_json=one.before, after_json=one.after)
            for one in plan.changes
        ],
        due_times=[
            pb.PlannedDueTime(
                due_at=timestamp(one.at),
                change=pb.DueTimeChange.Value(f"DUE_TIME_CHANGE_{one.change.upper()}"),
                blackout=one.blackout,
            )
            for one in plan.due_times
        ],
        clock_changes=[
            pb.ClockChange(
                at=timestamp(change.at),
                timezone=zone,
                shift=duration(change.shift * 1_000_000),
            )
            for zone, change in plan.clock_changes
        ],
        expected_duration=None if length is None else duration(length),
        measured=measured,
        collisions=[timestamp(at) for at in plan.collisions or ()],
        overlap=spec.overlap.value,
        workers=workers,
        follows_ends=plan.follows_ends,
    )
