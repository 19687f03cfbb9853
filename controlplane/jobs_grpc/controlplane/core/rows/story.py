"""The rows of the story of executions: attempts, retries, dead letters; see `changes`."""

from __future__ import annotations

from typing import NamedTuple


class AttemptRow(NamedTuple):
    """An attempt that another one followed, or may follow.

    The current attempt lives in the execution's row. `outcome` is a state of executions,
    or "released" where the attempt never began or was taken back to be given again.
    `leased_at` is unknown where an earlier term gave the lease.
    """

    execution_seq: int
    fence: int
    attempt: int
    worker_id: str
    worker: str
    leased_at: int | None
    started_at: int | None
    finished_at: int
    outcome: str
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    output_bytes: int | None = None
    output_dropped: int = 0
    cpu_user: int | None = None
    cpu_system: int | None = None
    peak_memory: int | None = None
    receipt_json: str = ""


class RetryRow(NamedTuple):
    """What an execution that was tried again has behind it; see `retrying`."""

    execution_seq: int
    retries: int
    losses: int
    refusals: int
    due_at: int


class LinkRow(NamedTuple):
    """An execution that follows another one: as "retry", "requeue" or "fallback"."""

    seq: int
    id: str
    kind: str
    origin_seq: int
    origin_id: str


class DeadLetterRow(NamedTuple):
    """The mark on an execution that failed for good, until somebody deals with it."""

    seq: int
    execution_id: str
    namespace: str
    workspace: str
    job: str
    at: int
    state: str
    reason: str
    error: str
    attempts: int


class EventRow(NamedTuple):
    """Something that happened to an execution besides its states; see `state.story`."""

    execution_seq: int
    # Grows over all terms: events of one instant keep their order by it.
    n: int
    at: int
    kind: str
    detail_json: str
