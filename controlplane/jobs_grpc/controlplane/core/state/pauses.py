"""Pauses: what stands still, since when, by whom, until when.

A pause is an object of its own beside what it pauses, so that ending it brings back
exactly what was there before: a disabled job stays disabled, an earlier pause goes on.
Its **scope** selects: a schedule, a job, a workspace, a namespace, everything (their due
times), or a queue (its leases). Runs by hand and what runs already are not concerned.

Where several pauses cover a schedule, the one that began first says what happens to the
due times; what is still undecided when it ends falls to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from jobs_grpc.controlplane.core.rows.changes import PauseRow

from .job import JobKey
from .live import Job, Schedule


class PauseKind(StrEnum):
    """What a pause selects."""

    SCHEDULE = "schedule"
    JOB = "job"
    QUEUE = "queue"
    WORKSPACE = "workspace"
    NAMESPACE = "namespace"
    ALL = "all"


class Meanwhile(StrEnum):
    """What becomes of the due times of a pause.

    `drop`: each is skipped when it comes. `latest`, `all`: they are decided when the
    pause ends; the last one is started, or all of them one after another.
    """

    DROP = "drop"
    LATEST = "latest"
    ALL = "all"


class Scope(NamedTuple):
    """What a pause selects; the fields that its kind does not need are empty."""

    kind: PauseKind
    namespace: str = ""
    workspace: str = ""
    job: str = ""
    # The id of a schedule.
    schedule: str = ""
    queue: str = ""

    @property
    def job_key(self) -> JobKey:
        return self.namespace, self.workspace, self.job


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One pause in force. `until` is the first instant that is not paused any more."""

    id: str
    scope: Scope
    note: str
    who: str
    since: int
    until: int | None
    meanwhile: Meanwhile

    def covers(self, at: int) -> bool:
        """Return whether a due time of its scope falls into it."""
        return self.since < at and (self.until is None or at < self.until)

    def row(self, *, ended_at: int | None = None, ended_by: str = "") -> PauseRow:
        return PauseRow(
            self.id,
            self.scope.kind.value,
            *self.scope[1:],
            self.note,
            self.who,
            self.since,
            self.until,
            self.meanwhile.value,
            ended_at,
            ended_by,
        )


def pause_of(row: PauseRow) -> Pause:
    """Return the pause that a row describes."""
    return Pause(
        id=row.pause_id,
        scope=Scope(
            PauseKind(row.kind),
            row.namespace,
            row.workspace,
            row.job,
            row.schedule_id,
            row.queue,
        ),
        note=row.note,
        who=row.who,
        since=row.since,
        until=row.until,
        meanwhile=Meanwhile(row.meanwhile),
    )


def scopes_over(key: JobKey, schedule_id: str) -> Iterator[Scope]:
    """Yield every scope that a schedule is in."""
    namespace, workspace, job = key
    yield Scope(PauseKind.SCHEDULE, namespace, workspace, job, schedule_id)
    yield Scope(PauseKind.JOB, namespace, workspace, job)
    yield Scope(PauseKind.WORKSPACE, namespace, workspace)
    yield Scope(PauseKind.NAMESPACE, namespace)
    yield Scope(PauseKind.ALL)


class Pauses:
    """The pauses in force."""

    def __init__(self) -> None:
        self._by_id: dict[str, Pause] = {}
        self._by_scope: dict[Scope, list[Pause]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def __iter__(self) -> Iterator[Pause]:
        return iter(tuple(self._by_id.values()))

    def get(self, pause_id: str) -> Pause | None:
        return self._by_id.get(pause_id)

    def of(self, scope: Scope) -> tuple[Pause, ...]:
        """Return the pauses of exactly this scope, the first first."""
        return tuple(self._by_scope.get(scope, ()))

    def add(self, pause: Pause) -> None:
        self._by_id[pause.id] = pause
        same = self._by_scope.setdefault(pause.scope, [])
        same.append(pause)
        same.sort(key=_order)

    def remove(self, pause: Pause) -> None:
        del self._by_id[pause.id]
        same = self._by_scope[pause.scope]
        same.remove(pause)
        if not same:
            del self._by_scope[pause.scope]

    def over(self, schedule: Schedule) -> Pause | None:
        """Return the pause that says what happens to the due times of a schedule."""
        scopes = scopes_over(schedule.job.spec.key, schedule.spec.id)
        return min(self._first_of(scopes), key=_order, default=None)

    def at(self, schedule: Schedule, due: int) -> Pause | None:
        """Return the pause in force that will decide a due time, if one will."""
        scopes = scopes_over(schedule.job.spec.key, schedule.spec.id)
        found = (one for scope in scopes for one in self.of(scope) if one.covers(due))
        return min(found, key=_order, default=None)

    def over_job(self, job: Job) -> Pause | None:
        """Return the first pause that covers all schedules of a job."""
        return min(
            self._first_of(scopes_over(job.spec.key, "")), key=_order, default=None
        )

    def next_end(self) -> int | None:
        """Return when the next one ends by itself."""
        ends = (one.until for one in self._by_id.values() if one.until is not None)
        return min(ends, default=None)

    def _first_of(self, scopes: Iterable[Scope]) -> Iterator[Pause]:
        for scope in scopes:
            same = self._by_scope.get(scope)
            if same:
                yield same[0]


def _order(pause: Pause) -> tuple[int, str]:
    return pause.since, pause.id
