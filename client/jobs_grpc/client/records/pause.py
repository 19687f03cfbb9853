"""Pauses: what stands still, since when, by whom, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from jobs_grpc.client.records.rendering import instant_text
from jobs_grpc.client.records.word import Word


class PauseKind(Word):
    """What a pause selects."""

    SCHEDULE = "schedule"
    JOB = "job"
    QUEUE = "queue"
    WORKSPACE = "workspace"
    NAMESPACE = "namespace"
    ALL = "all"
    UNRECOGNIZED = "unrecognized"


class PauseMeanwhile(Word):
    """What becomes of the due times of a pause.

    `drop`: each is skipped when it comes. `latest`, `all`: when the pause ends, the last
    one is started, or all of them one after another.
    """

    DROP = "drop"
    LATEST = "latest"
    ALL = "all"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSubject:
    """What is paused; make one with `of_job` and the like.

    An empty namespace or workspace means that of the client.
    """

    kind: PauseKind
    namespace: str = ""
    workspace: str = ""
    job: str = ""
    schedule: str = ""
    queue: str = ""

    @classmethod
    def of_job(cls, job: str, *, workspace: str = "", namespace: str = "") -> Self:
        """Return all schedules of a job."""
        return cls(
            kind=PauseKind.JOB, namespace=namespace, workspace=workspace, job=job
        )

    @classmethod
    def of_schedule(
        cls, schedule: str, *, job: str = "", workspace: str = "", namespace: str = ""
    ) -> Self:
        """Return one schedule, by its id, or by its name and job."""
        return cls(
            kind=PauseKind.SCHEDULE,
            namespace=namespace,
            workspace=workspace,
            job=job,
            schedule=schedule,
        )

    @classmethod
    def of_queue(cls, queue: str) -> Self:
        """Return what waits in a queue."""
        return cls(kind=PauseKind.QUEUE, queue=queue)

    @classmethod
    def of_workspace(cls, workspace: str, *, namespace: str = "") -> Self:
        """Return every schedule of a workspace."""
        return cls(kind=PauseKind.WORKSPACE, namespace=namespace, workspace=workspace)

    @classmethod
    def of_namespace(cls, namespace: str = "") -> Self:
        """Return every schedule of a namespace."""
        return cls(kind=PauseKind.NAMESPACE, namespace=namespace)

    @classmethod
    def everything(cls) -> Self:
        """Return the schedules of all namespaces."""
        return cls(kind=PauseKind.ALL)

    def __str__(self) -> str:
        match self.kind:
            case PauseKind.SCHEDULE:
                return f"schedule {self.job}/{self.schedule}"
            case PauseKind.JOB:
                return f"job {self.job}"
            case PauseKind.QUEUE:
                return f"queue {self.queue}"
            case PauseKind.WORKSPACE:
                return f"workspace {self.workspace}"
            case PauseKind.NAMESPACE:
                return f"namespace {self.namespace}"
            case PauseKind.ALL:
                return "everything"
        return self.kind.value

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "namespace": self.namespace or None,
            "workspace": self.workspace or None,
            "job": self.job or None,
            "schedule_id": self.schedule or None,
            "queue": self.queue or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One pause; in force until `ended_at` is set."""

    id: str
    subject: PauseSubject
    note: str = ""
    who: str = ""
    since: datetime | None = None
    until: datetime | None = None
    meanwhile: PauseMeanwhile = PauseMeanwhile.DROP
    ended_at: datetime | None = None
    ended_by: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            **self.subject.to_json(),
            "note": self.note or None,
            "who": self.who,
            "since": instant_text(self.since),
            "until": instant_text(self.until),
            "meanwhile": self.meanwhile.value,
            "ended_at": instant_text(self.ended_at),
            "ended_by": self.ended_by or None,
        }
