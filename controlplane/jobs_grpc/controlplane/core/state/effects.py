"""What may be said once a step is committed: messages to workers, and facts.

Messages name the session they are for. Facts are past participles; telemetry, waiting
callers and followers of output live on them. Both hold copies of what they need, because
the core may already be one step further when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .execution import Execution, Result
from .job import JobKey, Work
from .states import State

if TYPE_CHECKING:
    from .pauses import Pause


class LeaseGranted(NamedTuple):
    """The right to run one attempt. The fields of `execution` that are read never change."""

    session_id: str
    execution: Execution
    work: Work
    fence: int
    attempt: int


class StartGranted(NamedTuple):
    """An at-most-once attempt may begin: its start is committed."""

    session_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class StartRefused:
    """The attempt must not begin."""

    session_id: str
    fence: int


class ResultKept(NamedTuple):
    """The result is durable; the worker may forget the attempt."""

    session_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class CancelWanted:
    """The process tree of the attempt is to be ended."""

    session_id: str
    fence: int
    reason: str


@dataclass(frozen=True, slots=True)
class DrainWanted:
    """The worker is drained: what it has not begun is to be given back.

    `deadline` is in how many microseconds the rest is ended.
    """

    session_id: str
    deadline: int


@dataclass(frozen=True, slots=True)
class SessionWelcomed:
    """First message of a stream: the session it carries, a verdict on each attempt held.

    Verdicts: "adopt", "cancel", "forget", "send_result".
    """

    session_id: str
    stream: int
    verdicts: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class SessionGone:
    """The worker speaks for a session that has ended; it must say hello again."""

    session_id: str


Message = (
    SessionWelcomed
    | SessionGone
    | LeaseGranted
    | StartGranted
    | StartRefused
    | ResultKept
    | CancelWanted
    | DrainWanted
)


@dataclass(frozen=True, slots=True)
class JobApplied:
    """A definition was created or updated."""

    key: JobKey
    outcome: str
    revision: int


@dataclass(frozen=True, slots=True)
class JobDeleted:
    """A definition was removed."""

    key: JobKey


@dataclass(frozen=True, slots=True)
class PauseBegan:
    """Something stands still from now on."""

    pause: Pause


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """A pause is over; `who` is empty where its time was up."""

    pause: Pause
    who: str


@dataclass(frozen=True, slots=True)
class DueTimeSkipped:
    """A due time was decided against."""

    key: JobKey
    due_at: int
    reason: str
    holder: str


@dataclass(frozen=True, slots=True)
class TimeZonesChanged:
    """The time zone data is another than in the last term: due times may have moved."""

    before: str
    after: str
    schedules: int


@dataclass(frozen=True, slots=True)
class BackfillMoved:
    """A backfill was created, paused, resumed (`running`), cancelled or completed."""

    key: JobKey
    backfill_id: str
    outcome: str


class ExecutionLeased(NamedTuple):
    """An execution has a worker. `waited` is the time since it was due, µs."""

    execution: Execution
    worker: str
    attempt: int
    waited: int


class ExecutionStarted(NamedTuple):
    """An attempt has begun, as far as the leader knows."""

    execution: Execution
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ExecutionReleased:
    """An attempt was taken back; the execution waits again."""

    execution: Execution
    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExecutionRetried:
    """A failed attempt is followed by another, `delay` later, µs."""

    execution: Execution
    worker: str
    attempt: int
    error: str
    delay: int


class ExecutionFinished(NamedTuple):
    """An execution is final (or a lost one was resolved)."""

    execution: Execution
    state: State
    worker: str
    attempt: int
    started_at: int | None
    result: Result
    was_lost: bool = False


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A worker is connected; `resumed` if its session lived on."""

    session_id: str
    worker: str
    slots: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class SessionDisconnected:
    """The stream of a worker broke; its session lives on for a while."""

    session_id: str
    worker: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session is over, by goodbye or by silence; `leases` were taken back."""

    session_id: str
    worker: str
    reason: str
    leases: int


@dataclass(frozen=True, slots=True)
class WorkerTended:
    """An operator has cordoned, drained, uncordoned or labeled a worker."""

    worker: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """A circuit breaker has changed its state; `until` is when an open one is tried."""

    namespace: str
    name: str
    state: str
    reason: str
    until: int | None


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A worker takes no work for a reason of its own; an empty one: it does again."""

    session_id: str
    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReportRefused:
    """A worker spoke of an attempt that is not, or no longer, its own."""

    session_id: str
    fence: int
    report: str


Fact = (
    JobApplied
    | JobDeleted
    | PauseBegan
    | PauseEnded
    | DueTimeSkipped
    | TimeZonesChanged
    | BackfillMoved
    | ExecutionLeased
    | ExecutionStarted
    | ExecutionReleased
    | ExecutionRetried
    | ExecutionFinished
    | SessionOpened
    | SessionDisconnected
    | SessionEnded
    | WorkerTended
    | BreakerMoved
    | SessionClosed
    | ReportRefused
)
