"""The store, in our own verbs.

Who is authoritative: the store is, over every process that writes to it. A leader holds a
**term**, a number that grows with each reign; `commit` checks it inside the transaction
that writes, so a leader that was replaced while it slept cannot write, whatever it
believes. Reads see committed facts only and never wait for the writer.

| event | what the caller gets |
|---|---|
| another process holds the store | `StoreHeldError` at `open` |
| the data is of a newer version | `StoreVersionError` at `open` |
| a later term has begun | `TermEndedError` at `commit` and `renew_term` |
| the disk or the database fails | `StoreFailedError`; whether a commit happened is unknown, so the term is over and the next one loads what is true |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs_grpc.controlplane.core.rows.changes import (
    ActiveState,
    Changes,
    DecisionRow,
    ExecutionRow,
    JobRecord,
    PauseRow,
    QueueRow,
    WorkerRow,
)
from jobs_grpc.controlplane.core.rows.fleet import OrderRow
from jobs_grpc.controlplane.core.rows.schedules import BackfillRow
from jobs_grpc.controlplane.core.rows.story import (
    AttemptRow,
    DeadLetterRow,
    EventRow,
    LinkRow,
)
from jobs_grpc.controlplane.core.state.job import JobKey


class StoreError(Exception):
    """The store cannot do what was asked; the message says what to do."""


class StoreHeldError(StoreError):
    """Another process has the store open for writing."""


class StoreVersionError(StoreError):
    """The data was written by a newer version of the program."""


class TermEndedError(StoreError):
    """A later term has begun; nothing was written."""


class StoreFailedError(StoreError):
    """The disk or the database failed; the outcome is unknown."""


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions to list. Empty fields do not restrict."""

    namespace: str
    workspace: str = ""
    job: str = ""
    states: tuple[str, ...] = ()
    # Only executions with a smaller number: the page token.
    before: int | None = None


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions to list: due times in [start, end), older than the token."""

    namespace: str
    workspace: str = ""
    job: str = ""
    start: int | None = None
    end: int | None = None
    # Only with one of these reasons; "started" is the one of those that were started.
    reasons: tuple[str, ...] = ()
    # (due time, schedule id) of the last one seen.
    before: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters to list. Empty fields do not restrict."""

    namespace: str
    workspace: str = ""
    job: str = ""
    # Only those that failed for good before this instant.
    failed_before: int | None = None
    # Only of executions with a smaller number: the page token.
    before: int | None = None


@dataclass(frozen=True, slots=True)
class PauseFilter:
    """Which pauses to list: of a namespace or of none, those in force unless said."""

    namespace: str
    with_ended: bool = False
    # (beginning, pause id) of the last one seen.
    before: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many executions a queue has in each condition now."""

    queue: str
    scheduled: int
    pending: int
    active: int


class Store(Protocol):
    """See the module's docstring for the guarantees."""

    async def open(self) -> None:
        """Take hold of the store and bring its schema up to date."""
        ...

    async def close(self) -> None:
        """Let go. Idempotent; safe after a failed `open`."""
        ...

    def describe(self) -> str:
        """Return what this is, for people: "sqlite 3.40.1 (/var/lib/…)"."""
        ...

    async def acquire_term(self, *, holder: str, address: str, now: int) -> int:
        """Begin the next term and return its number; every earlier term is over."""
        ...

    async def renew_term(self, term: int, now: int) -> None:
        """Note that the leader is alive, or raise `TermEndedError`.

        An idle leader that was replaced learns it here.
        """
        ...

    async def load_active(self, *, lost_since: int = 0) -> ActiveState:
        """Return all that is not history.

        Of executions that were lost it is those since `lost_since`: a late result of
        them still counts.
        The cursor of a schedule is never behind a decision of that schedule.
        """
        ...

    async def commit(self, term: int, changes: Changes) -> None:
        """Write all of it durably, or nothing, while `term` is the current one."""
        ...

    async def job(self, key: JobKey) -> JobRecord | None:
        """Return a definition with its counters."""
        ...

    async def jobs(
        self, *, namespace: str, workspace: str, after: tuple[str, str], limit: int
    ) -> Sequence[JobRecord]:
        """Return definitions in the order (workspace, name), after that pair.

        An empty `workspace` means all of them.
        """
        ...

    async def find_executions(
        self, *, namespace: str, prefix: str, limit: int
    ) -> Sequence[ExecutionRow]:
        """Return executions whose id begins with `prefix`, in the order of ids."""
        ...

    async def execution(self, execution_id: str) -> ExecutionRow | None:
        """Return the execution of exactly this id, of whatever namespace.

        For those who were given the id by the leader, not for what a user typed.
        """
        ...

    async def executions(
        self, wanted: ExecutionFilter, limit: int
    ) -> Sequence[ExecutionRow]:
        """Return executions, newest first."""
        ...

    async def attempts(self, execution_seq: int) -> Sequence[AttemptRow]:
        """Return the attempts of an execution that it went on without, in order."""
        ...

    async def events(self, execution_seq: int) -> Sequence[EventRow]:
        """Return what happened to an execution besides its states, in order."""
        ...

    async def document(self, job_id: int, revision: int) -> str | None:
        """Return what a revision of a job was, also of one that is gone."""
        ...

    async def links(self, execution_seq: int) -> Sequence[LinkRow]:
        """Return what an execution follows and what follows it, in order."""
        ...

    async def dead_letters(
        self, wanted: DeadLetterFilter, limit: int
    ) -> Sequence[DeadLetterRow]:
        """Return dead letters, those of the newest executions first."""
        ...

    async def dead_letter(self, execution_seq: int) -> DeadLetterRow | None:
        """Return the mark of an execution, if it is a dead letter."""
        ...

    async def executions_of_requests(
        self, *, namespace: str, request_ids: Sequence[str]
    ) -> Mapping[str, str]:
        """Return, for those request ids that created an execution, the execution's id."""
        ...

    async def decisions(
        self, wanted: DecisionFilter, limit: int
    ) -> Sequence[DecisionRow]:
        """Return decisions, latest due time first."""
        ...

    async def decision_at(self, schedule_id: str, at: int) -> DecisionRow | None:
        """Return the decision that speaks of an instant, alone or among others."""
        ...

    async def old_decisions(self, before: int, limit: int) -> Sequence[tuple[str, int]]:
        """Return (schedule id, due time) of decisions whose due times all lie before."""
        ...

    async def pause(self, pause_id: str) -> PauseRow | None:
        """Return a pause, in force or ended."""
        ...

    async def pauses(self, wanted: PauseFilter, limit: int) -> Sequence[PauseRow]:
        """Return pauses, the latest beginning first."""
        ...

    async def started(
        self, schedule_ids: Sequence[str], *, start: int, end: int
    ) -> Sequence[tuple[str, int]]:
        """Return (schedule id, due time) of what was started, due in [start, end).

        By the schedule itself or by a backfill; a pair may come twice.
        """
        ...

    async def backfills(
        self,
        *,
        namespace: str,
        workspace: str,
        job: str,
        before: int | None,
        limit: int,
    ) -> Sequence[BackfillRow]:
        """Return backfills, newest first, with numbers below `before`.

        An empty `workspace` or `job` does not restrict.
        """
        ...

    async def find_backfills(
        self, *, namespace: str, prefix: str, limit: int
    ) -> Sequence[BackfillRow]:
        """Return backfills whose id begins with `prefix`, in the order of ids."""
        ...

    async def queues(self) -> tuple[Sequence[QueueRow], Sequence[QueueDepth]]:
        """Return the totals of queues, and how full they are now."""
        ...

    async def orders(self) -> Sequence[OrderRow]:
        """Return what operators have said about workers."""
        ...

    async def workers(self) -> Sequence[WorkerRow]:
        """Return every worker that ever introduced itself, by name."""
        ...
