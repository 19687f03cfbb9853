"""Between the pauses of the core and those of the contract."""

from __future__ import annotations

from jobs_grpc.controlplane.core.rows.changes import PauseRow
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.job import STANDALONE
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, PauseKind, Scope
from jobs_grpc.v1 import pause_pb2 as pb
from jobs_grpc.wire.time import timestamp

from . import convert

_GLOBAL = frozenset({PauseKind.QUEUE, PauseKind.ALL})
# What must be said for each kind, beside the namespace.
_NEEDED = {
    PauseKind.SCHEDULE: "schedule",
    PauseKind.JOB: "job",
    PauseKind.QUEUE: "queue",
    PauseKind.WORKSPACE: "workspace",
}


def scope_of(subject: pb.PauseSubject) -> Scope:
    """Return what a request selects; what its kind does not need is left out."""
    try:
        word = pb.PauseKind.Name(subject.kind).removeprefix("PAUSE_KIND_").lower()
        kind = PauseKind(word)
    except ValueError:
        raise InvalidError(
            "the request does not say what is meant",
            hint="name a schedule, a job, a queue, a workspace or a namespace, or all",
            field="subject.kind",
        ) from None
    needed = _NEEDED.get(kind)
    if needed is not None and not getattr(subject, needed):
        raise InvalidError(
            f"a {kind.value} is meant, and none is named", field=f"subject.{needed}"
        )
    if kind in _GLOBAL:
        return Scope(kind, queue=subject.queue if kind is PauseKind.QUEUE else "")
    namespace = convert.namespace_of(subject.namespace)
    if kind is PauseKind.NAMESPACE:
        return Scope(kind, namespace)
    if kind is PauseKind.WORKSPACE:
        return Scope(kind, namespace, subject.workspace)
    if kind is PauseKind.SCHEDULE and not subject.job:
        return Scope(kind, namespace, schedule=subject.schedule)
    workspace = subject.workspace or STANDALONE
    schedule = subject.schedule if kind is PauseKind.SCHEDULE else ""
    return Scope(kind, namespace, workspace, subject.job, schedule)


def meanwhile_of(value: pb.PauseMeanwhile.ValueType) -> Meanwhile:
    """Return what is to become of the due times; `drop` where nothing is said."""
    if value == pb.PauseMeanwhile.PAUSE_MEANWHILE_UNSPECIFIED:
        return Meanwhile.DROP
    try:
        name = pb.PauseMeanwhile.Name(value).removeprefix("PAUSE_MEANWHILE_")
    except ValueError:
        raise InvalidError(
            f"{value} says nothing about due times", field="meanwhile"
        ) from None
    return Meanwhile(name.lower())


def pause(row: PauseRow) -> pb.Pause:
    """Return a pause as the contract tells it."""
    message = pb.Pause(
        id=row.pause_id,
        subject=pb.PauseSubject(
            kind=pb.PauseKind.Value(f"PAUSE_KIND_{row.kind.upper()}"),
            namespace=row.namespace,
            workspace=row.workspace,
            job=row.job,
            schedule=row.schedule_id,
            queue=row.queue,
        ),
        note=row.note,
        who=row.who,
        since=timestamp(row.since),
        meanwhile=pb.PauseMeanwhile.Value(f"PAUSE_MEANWHILE_{row.meanwhile.upper()}"),
        ended_by=row.ended_by,
    )
    if row.until is not None:
        message.until.CopyFrom(timestamp(row.until))
    if row.ended_at is not None:
        message.ended_at.CopyFrom(timestamp(row.ended_at))
    return message
