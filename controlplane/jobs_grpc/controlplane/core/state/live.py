"""Everything a term holds in memory: what can still change.

Jobs and their schedules, executions that are not final, sessions. Whatever is over lives
in the store only, so memory follows the work at hand and not the history.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from jobs_grpc.controlplane.core.rows.changes import JobRow, ScheduleRow, StatisticsRow
from jobs_grpc.controlplane.core.rows.schedules import JoinRow

from .breakers import Breaker, BreakerState
from .execution import Execution
from .job import JobKey, JobSpec, KeyName, Place, ScheduleSpec
from .schedule_object import ScheduleObject
from .states import FAILURES, State

# Numbers of one term; 10^12 of them last three years at 10,000 a second.
_NUMBERS_PER_TERM: Final = 1_000_000_000_000
# Attempts that others followed are remembered, so that a late report can be told apart
# from nonsense and shown where it belongs.
_SUPERSEDED_KEPT: Final = 10_000


class Sequence:
    """Numbers that only grow, over all terms, without asking the store.

    The term is the high part, so a new leader's first number is above every number of
    every leader before it: that is what makes a fence a fence.
    """

    def __init__(self, term: int) -> None:
        self._next = term * _NUMBERS_PER_TERM

    def take(self) -> int:
        self._next += 1
        return self._next


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """A definition with its counters and what runs of it."""

    job_id: int
    spec: JobSpec
    revision: int
    override: bool | None
    source: str
    created_at: int
    updated_at: int
    schedules: dict[str, Schedule] = field(default_factory=dict)
    active: dict[int, Execution] = field(default_factory=dict)
    run_count: int = 0
    success_count: int = 0
    failure_count: int = 0
    last_run_at: int | None = None
    last_success_at: int | None = None
    last_failure_at: int | None = None
    last_error: str = ""
    last_state: str = ""
    # Counted where the job is to be paused after so many.
    failures_in_a_row: int = 0
    # Who has succeeded of those it depends on, with which execution; see `joins`.
    arrived: dict[str, str] | None = None
    # The due time last started, so that two rules naming one instant start one run.
    last_due_started: int | None = None

    @property
    def enabled(self) -> bool:
        return self.spec.enabled if self.override is None else self.override

    def count(self, state: State, *, ended_at: int, error: str) -> None:
        """Count a finished execution."""
        self.run_count += 1
        self._remember(state, ended_at=ended_at, error=error)

    def recount(self, state: State, *, ended_at: int, error: str) -> None:
        """A lost execution turned out to have ended: its failure is taken back."""
        self.failure_count -= 1
        self._remember(state, ended_at=ended_at, error=error)

    def _remember(self, state: State, *, ended_at: int, error: str) -> None:
        self.last_state = state.value
        self.last_run_at = ended_at
        if state is State.SUCCEEDED:
            self.success_count += 1
            self.last_success_at = ended_at
            self.last_error = ""
        elif state in FAILURES:
            self.failure_count += 1
            self.last_failure_at = ended_at
            self.last_error = error

    def row(self) -> JobRow:
        namespace, workspace, name = self.spec.key
        return JobRow(
            self.job_id,
            namespace,
            workspace,
            name,
            self.revision,
            self.spec.document_json,
            None if self.override is None else int(self.override),
            int(self.enabled),
            self.source,
            self.created_at,
            self.updated_at,
        )

    def join_row(self) -> JoinRow:
        return JoinRow(self.job_id, json.dumps(self.arrived or {}))

    def statistics_row(self) -> StatisticsRow:
        return StatisticsRow(
            self.job_id,
            self.run_count,
            self.success_count,
            self.failure_count,
            self.last_run_at,
            self.last_success_at,
            self.last_failure_at,
            self.last_error,
            self.last_state,
        )


@dataclass(slots=True)
class Streak:
    """Due times of a schedule that were skipped one after another for one reason.

    `first` is where the row begins that speaks of those beyond the limit; None before.
    """

    reason: str
    holder: str
    count: int = 0
    first: int | None = None
    in_first: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class Schedule:
    """A rule of a job. `cursor` is the last instant that is decided."""

    job: Job
    spec: ScheduleSpec
    cursor: int
    # Of this term; None where the last due time started.
    streak: Streak | None = None
    # What the API has made of it; absent for most.
    object: ScheduleObject | None = None
    # How many executions it has started, where their number is limited.
    started: int = 0
    # When it is looked at by itself; see `alarms`.
    alarm: int | None = None

    @property
    def is_of_document(self) -> bool:
        """The job's document defines it."""
        return self.object is None or not self.object.entry_json

    def is_enabled_at(self, due: int) -> bool:
        """Say whether this due time may start something, as far as it goes by switches.

        Asked of due times and not of the clock, so that the end of `disabled_until` needs
        no timer, and a late decision is the same as one in time.
        """
        said = self.object
        if said is not None and said.enabled is not None:
            return said.enabled or _is_past(said.disabled_until, due)
        spec = self.spec
        if spec.disabled_until is not None:
            return due >= spec.disabled_until
        return spec.enabled

    @property
    def disabled_until(self) -> int | None:
        said = self.object
        if said is not None and said.enabled is not None:
            return said.disabled_until
        return self.spec.disabled_until

    @property
    def disabled_reason(self) -> str:
        said = self.object
        if said is not None and said.enabled is not None:
            return said.disabled_reason
        return self.spec.disabled_reason

    def row(self) -> ScheduleRow:
        return ScheduleRow(self.spec.id, self.job.job_id, self.spec.name, self.cursor)


def _is_past(until: int | None, due: int) -> bool:
    return until is not None and due >= until


class SavedFor(Protocol):
    """A line whose head takes several slots, and the worker that saves them for it."""

    saver: Session | None


@dataclass(slots=True, eq=False, kw_only=True)
class Session:
    """A worker's logical connection. It outlives streams, and dies of silence."""

    id: str
    worker_id: str
    worker: str
    # As it says, and as it is after what operators have said.
    own_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    # Why operators have it given no work; "" if they have not.
    cordon: str = ""
    slots: int = 0
    functions: frozenset[str] = frozenset()
    version: str = ""
    # Which stream carries it now; `None` while it has none.
    stream: int | None = None
    # Why its worker takes no work now (its disk is full); empty if it does.
    closed: str = ""
    # Its worker said goodbye, though it holds leases: it may come back for them.
    has_left: bool = False
    # It stands in the line of workers that free slots are filled from.
    has_turn: bool = False
    connected_at: int = 0
    last_seen: int
    leases: dict[int, Execution] = field(default_factory=dict)
    # Which waiting classes it may serve; filled on demand, see `waiting.lines`.
    eligible: dict[Place, bool] = field(default_factory=dict)
    # Slots that its leases take beyond one each.
    extra_slots: int = 0
    # How many of its leases have a concurrency key with a limit for each worker.
    held: dict[KeyName, int] = field(default_factory=dict)
    # That of its worker, once something has happened to it.
    breaker: Breaker | None = None
    # Its free slots are kept for the head of this line, which needs several at once.
    saving_for: SavedFor | None = None

    @property
    def slots_used(self) -> int:
        return len(self.leases) + self.extra_slots

    @property
    def free_slots(self) -> int:
        if self.stream is None or self.closed or self.cordon:
            return 0
        free = self.slots - len(self.leases) - self.extra_slots
        breaker = self.breaker
        if breaker is None or breaker.state is BreakerState.CLOSED:
            return free
        if breaker.state is BreakerState.OPEN or breaker.probe:
            return 0
        return min(free, 1)

    @property
    def refusal(self) -> str | None:
        """Why it is given no work; `None` if it is."""
        if self.stream is None:
            return "is disconnected"
        if self.closed:
            return f"takes no work now: {self.closed}"
        if self.cordon:
            return self.cordon
        if shut := self._shut:
            return f"is left alone: {shut}"
        return None

    @property
    def trouble(self) -> str:
        """Why it is given no work though nobody said so; "" if there is no such reason."""
        if self.stream is None:
            return ""
        return self.closed or self._shut

    @property
    def _shut(self) -> str:
        """What its breaker says unless it is closed."""
        breaker = self.breaker
        if breaker is None or breaker.state is BreakerState.CLOSED:
            return ""
        return breaker.describe().text

    def take(self, execution: Execution) -> None:
        """Hold a lease."""
        self.leases[execution.fence] = execution
        self.extra_slots += execution.spec.slots - 1
        if self.breaker is not None:
            self.breaker.enter(execution)

    def let_go(self, execution: Execution) -> bool:
        """Hold it no more; return whether it was held."""
        if self.leases.pop(execution.fence, None) is None:
            return False
        self.extra_slots -= execution.spec.slots - 1
        if self.breaker is not None:
            self.breaker.leave(execution)
        return True


@dataclass(slots=True)
class Superseded:
    """An attempt that is over while its execution went on."""

    execution: Execution
    # The kinds of late reports that were refused, each told once.
    refused: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Live:
    """The state of a term."""

    sequence: Sequence
    jobs: dict[JobKey, Job] = field(default_factory=dict)
    # Job ids of stored definitions that this program cannot read: they do nothing, until
    # somebody replaces or deletes them.
    unreadable: dict[JobKey, int] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    by_fence: dict[int, Execution] = field(default_factory=dict)
    # Lost, but a late result of the fence would still be believed.
    lost: dict[int, Execution] = field(default_factory=dict)
    # By fence, newest last.
    superseded: OrderedDict[int, Superseded] = field(default_factory=OrderedDict)
    sessions: dict[str, Session] = field(default_factory=dict)
    sessions_by_worker: dict[str, Session] = field(default_factory=dict)
    # (namespace, request id) to execution id: repeated requests, newest last.
    requests: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)

    def supersede(self, execution: Execution, fence: int) -> None:
        """Remember a fence of an execution as one that is over."""
        self.superseded[fence] = Superseded(execution)
        while len(self.superseded) > _SUPERSEDED_KEPT:
            self.superseded.popitem(last=False)

    def job_of(self, execution: Execution) -> Job | None:
        """Return the stored job behind an execution, if it (still) has one."""
        job = self.jobs.get(execution.spec.key)
        return job if job is not None and job.job_id == execution.job_id else None
