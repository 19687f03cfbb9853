"""Everything that can be asked of the core or told to it.

Ids and instants come in with the input: the core mints neither. What comes by the
thousand is a named tuple, because a frozen dataclass sets each field by a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple

from .backfill import BackfillState
from .execution import Result
from .job import JobKey, JobSpec, ScheduleSpec
from .pauses import Meanwhile, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyJobs:
    """Create or update definitions, all or none; answers `tuple[Applied, ...]`.

    `sources` says for each spec who owns it: "api", or "folder:<file>".
    """

    specs: tuple[JobSpec, ...]
    sources: tuple[str, ...]
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one definition: "created", "updated" or "unchanged"."""

    key: JobKey
    outcome: str
    revision: int


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Remove a definition; answers `None`."""

    key: JobKey


@dataclass(frozen=True, slots=True)
class SetJobEnabled:
    """Let schedules start the job, or not; answers `None`."""

    key: JobKey
    enabled: bool


@dataclass(frozen=True, slots=True)
class PutSchedule:
    """Create an API-owned schedule or change it; answers the live `Schedule`.

    `revision` is the one that the change was computed from; 0 to create.
    """

    key: JobKey
    spec: ScheduleSpec
    entry_json: str
    revision: int


@dataclass(frozen=True, slots=True)
class DeleteSchedule:
    """Remove an API-owned schedule; answers `None`."""

    key: JobKey
    schedule: str


@dataclass(frozen=True, slots=True)
class SetScheduleEnabled:
    """Switch any schedule; answers the live `Schedule`."""

    key: JobKey
    schedule: str
    enabled: bool
    reason: str = ""
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginPause:
    """Put something on hold; answers the `Pause`.

    A schedule is named by its id, or by its job and its name.
    """

    id: str
    scope: Scope
    note: str
    who: str
    until: int | None
    meanwhile: Meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPauses:
    """End one pause, or all of exactly this scope; answers those that ended."""

    pause_id: str = ""
    scope: Scope | None = None
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginBackfill:
    """Begin a backfill of [start, end); answers the live `Backfill`.

    `schedules` are as the job's `revision` has them, `started` the due times in the range
    that each of them has started, as read from the store while the core's backfills were
    of that `generation`.
    """

    id: str
    key: JobKey
    revision: int
    schedules: tuple[ScheduleSpec, ...]
    schedules_json: str
    start: int
    end: int
    newest_first: bool
    parallel: int
    priority: int
    total: int
    started: Mapping[str, AbstractSet[int]]
    generation: int
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBackfill:
    """Pause, resume or cancel (`running`, `paused`, `cancelling`); answers the `Backfill`."""

    namespace: str
    id: str
    state: BackfillState
    reason: str


class Submission(NamedTuple):
    """One execution to create. Either `name` (a stored job) or `spec` is given."""

    id: str
    params: Mapping[str, Any]
    name: str = ""
    spec: JobSpec | None = None
    not_before: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Create executions, all or none; answers their ids in order."""

    namespace: str
    workspace: str
    trigger: str
    requested_by: str
    submissions: tuple[Submission, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAgain:
    """Create an execution like one that has ended; answers its id.

    `kind` is "retry" or "requeue"; `spec` is what the old one ran, `is_of_job` whether a
    stored job stood behind it. A repeated `request_id` creates nothing more.
    """

    id: str
    kind: str
    origin_seq: int
    origin_id: str
    spec: JobSpec
    is_of_job: bool
    params: Mapping[str, Any]
    requested_by: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class PurgeDeadLetters:
    """Take the marks off executions, by their numbers; answers `None`."""

    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """End an execution by id, or all of a job; answers the ids concerned."""

    namespace: str
    execution_id: str = ""
    job: JobKey | None = None
    reason: str


@dataclass(frozen=True, slots=True)
class Explain:
    """Why is an execution where it is? Changes nothing; answers an `Explanation`.

    `None` for one that is final or unknown: the store has all there is to say.
    """

    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBreakers:
    """Which circuit breakers are there? Changes nothing; answers `tuple[BreakerRow, ...]`.

    Those of a namespace, and those of all workers.
    """

    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TripBreaker:
    """Open a circuit breaker, until an instant or until it is reset; answers its row."""

    namespace: str
    name: str
    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetBreaker:
    """Close a circuit breaker; answers its row."""

    namespace: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonWorker:
    """Give a worker no new work; answers its `OrderRow`, as do the next three."""

    worker_id: str
    # Its name, for the log.
    worker: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UncordonWorker:
    """Give a worker work again."""

    worker_id: str
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainWorker:
    """Cordon a worker, and end what still runs on it after `deadline` microseconds."""

    worker_id: str
    worker: str
    reason: str
    deadline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelWorker:
    """Put labels over a worker's own, take some away (`None`), give others back to it."""

    worker_id: str
    worker: str
    labels: Mapping[str, str | None]
    given_back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An attempt that a worker still holds. `phase`: leased, starting, running, finished."""

    fence: int
    phase: str
    started_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A worker says hello on a new stream; answers the id of its session."""

    stream: int
    # Its session's id, if none lives on.
    new_session_id: str
    worker_id: str
    worker: str
    labels: Mapping[str, str]
    slots: int
    functions: tuple[str, ...]
    held: tuple[Held, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat arrived. `closed`: why the worker takes no work now; empty if it does."""

    session_id: str
    closed: str = ""


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The stream of a session broke; the session lives on until its time is up."""

    session_id: str
    stream: int


@dataclass(frozen=True, slots=True)
class CloseSession:
    """The worker said goodbye."""

    session_id: str
    stream: int


class Starting(NamedTuple):
    """May this attempt begin?"""

    fence: int


class Started(NamedTuple):
    """The attempt has begun."""

    fence: int
    at: int


class Finished(NamedTuple):
    """The attempt has ended."""

    fence: int
    result: Result


@dataclass(frozen=True, slots=True)
class Reports:
    """What a worker tells about its attempts, in order."""

    session_id: str
    reports: tuple[Starting | Started | Finished, ...]


Input = (
    ApplyJobs
    | DeleteJob
    | SetJobEnabled
    | PutSchedule
    | DeleteSchedule
    | SetScheduleEnabled
    | BeginPause
    | EndPauses
    | BeginBackfill
    | ChangeBackfill
    | Submit
    | RunAgain
    | PurgeDeadLetters
    | Cancel
    | Explain
    | ListBreakers
    | TripBreaker
    | ResetBreaker
    | CordonWorker
    | UncordonWorker
    | DrainWorker
    | LabelWorker
    | OpenSession
    | Beat
    | StreamClosed
    | CloseSession
    | Reports
)
