"""One execution while it is alive: from its decision to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobs_grpc.controlplane.core.rows.changes import CreatedRow, EndedRow, MovedRow
from jobs_grpc.controlplane.core.rows.story import AttemptRow

from .job import Delivery, JobSpec, KeyName
from .retrying import RetryState
from .states import Move, Phase, State, after

if TYPE_CHECKING:
    from .gates import Gate

# One step of priority is worth this much waiting (µs): a waiting execution of priority 5
# passes a new one of priority 1 after forty minutes, so none starves.
AGEING: Final = 600_000_000
# Words without the cost of an attribute of an enum member, for the hot path.
_WORD: Final[Mapping[State | Phase, str]] = {
    **{state: str(state) for state in State},
    **{phase: str(phase) for phase in Phase},
}


class Hold(NamedTuple):
    """What a pending execution waits for besides a slot; see `holding`.

    `reason` is a word of the contract, `subject` what exactly it is, `since` an instant.
    """

    reason: str
    subject: str
    since: int

    @property
    def place(self) -> tuple[str, str]:
        """Return what all executions that wait for the same thing have in common."""
        return self.reason, self.subject


class Origin(NamedTuple):
    """Why an execution comes to be."""

    id: str
    trigger: str
    requested_by: str
    scheduled_for: int
    schedule_id: str = ""
    request_id: str | None = None
    # What it waits for before it may stand in a waiting line.
    hold: Hold | None = None


class Result(NamedTuple):
    """How an attempt ended, as its worker tells it. Instants and CPU in microseconds."""

    move: Move
    finished_at: int
    started_at: int | None = None
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    result_json: str = ""
    output_bytes: int | None = None
    output_dropped: int = 0
    cpu_user: int | None = None
    cpu_system: int | None = None
    peak_memory: int | None = None
    receipt_json: str = ""
    # The worker proves that it never began; the work may be given away again.
    never_began: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Execution:
    """A live execution. Only the core changes it, and only by the table of moves."""

    seq: int
    id: str
    spec: JobSpec
    job_id: int
    revision: int
    trigger: str
    queue: str
    priority: int
    scheduled_for: int
    created_at: int
    requested_by: str
    schedule_id: str = ""
    request_id: str | None = None
    params: Mapping[str, Any]
    # Set where no stored job stands behind it.
    document_json: str | None = None
    state: State
    phase: Phase = Phase.NONE
    attempt: int = 0
    fence: int = 0
    worker_id: str = ""
    worker: str = ""
    session_id: str = ""
    # When this term gave the current lease; `None` if an earlier one did.
    leased_at: int | None = None
    started_at: int | None = None
    cancel_reason: str = ""
    # Set once its end is not known.
    lost_at: int | None = None
    # Set while it is kept out of the waiting lines.
    hold: Hold | None = None
    # What it has to pass before it can be leased: see `gates`. Not stored; found anew.
    gates: tuple[Gate, ...] = ()
    # What it was seen to wait for or because of besides its turn, and since when; told
    # in its story once it goes on.
    waited_for: dict[str, int] | None = None
    # Its concurrency key, where that has a limit for each worker.
    scope: KeyName | None = None
    # Set once an attempt of it was followed by another.
    retry: RetryState | None = None

    @property
    def is_leased(self) -> bool:
        return self.phase is not Phase.NONE

    @property
    def may_run_twice(self) -> bool:
        return self.spec.delivery is Delivery.AT_LEAST_ONCE

    @property
    def order(self) -> int:
        """Its place in its queue: smaller goes first."""
        return self.waits_from + (self.priority - 1) * AGEING

    @property
    def waits_from(self) -> int:
        """The instant from which its waiting counts.

        A backfill's due times are long past; to wait since then would put them before
        all live work.
        """
        return self.created_at if self.trigger == "backfill" else self.scheduled_for

    def note_wait(self, what: str, since: int) -> None:
        """Remember what keeps it waiting: `for …` or `because …`."""
        if self.waited_for is None:
            self.waited_for = {}
        self.waited_for.setdefault(what, since)

    def move(self, move: Move) -> None:
        """Go to the state that the table gives, or raise `IllegalMoveError`."""
        self.state = after(self.state, move)

    def created_row(self) -> CreatedRow:
        spec = self.spec
        return CreatedRow(
            self.seq,
            self.id,
            spec.namespace,
            spec.workspace,
            spec.name,
            self.job_id,
            self.revision,
            spec.work.type,
            self.trigger,
            self.queue,
            self.priority,
            self.scheduled_for,
            self.created_at,
            self.requested_by,
            self.schedule_id,
            self.request_id,
            json.dumps(self.params) if self.params else "{}",
            self.document_json,
            _WORD[self.state],
            _WORD[self.phase],
            self.attempt,
            self.fence,
            self.worker_id,
            self.worker,
            self.session_id,
            self.started_at,
            self.cancel_reason,
        )

    def moved_row(self) -> MovedRow:
        return MovedRow(
            _WORD[self.state],
            _WORD[self.phase],
            self.attempt,
            self.fence,
            self.worker_id,
            self.worker,
            self.session_id,
            self.started_at,
            self.cancel_reason,
            self.seq,
        )

    def ended_row(self, result: Result) -> EndedRow:
        return EndedRow(
            _WORD[self.state],
            self.started_at,
            result.finished_at,
            result.exit_code,
            result.signal,
            result.error,
            result.result_json,
            result.output_bytes,
            result.output_dropped,
            result.cpu_user,
            result.cpu_system,
            result.peak_memory,
            result.receipt_json,
            self.seq,
        )

    def attempt_row(self, outcome: str, result: Result) -> AttemptRow:
        started_at = self.started_at
        if result.started_at is not None:
            started_at = result.started_at
        return AttemptRow(
            self.seq,
            self.fence,
            self.attempt,
            self.worker_id,
            self.worker,
            self.leased_at,
            started_at,
            result.finished_at,
            outcome,
            result.exit_code,
            result.signal,
            result.error,
            result.output_bytes,
            result.output_dropped,
            result.cpu_user,
            result.cpu_system,
            result.peak_memory,
            result.receipt_json,
        )
