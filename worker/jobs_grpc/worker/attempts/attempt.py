"""One attempt as this worker holds it."""

from __future__ import annotations

from typing import NamedTuple

from jobs_grpc.worker.attempts.table import Event, State, after
from jobs_grpc.worker.work import FunctionCall, Lease, Progress, Result


class Ticket(NamedTuple):
    """Who an attempt is, without what it does: all that outlives a restart."""

    fence: int
    execution_id: str
    attempt: int
    namespace: str
    workspace: str
    job: str
    is_function: bool


class Attempt:
    """One try at one task, from its lease to the end of its retention.

    The lease is let go as soon as the attempt has ended: it may hold a megabyte of
    script, and what is kept for a quarter of an hour should be small.
    """

    __slots__ = (
        "fence",
        "is_function",
        "is_sendable",
        "lease",
        "pid",
        "place",
        "progress",
        "result",
        "sent_at",
        "started_at",
        "state",
        "stop_reason",
        "ticket",
    )

    def __init__(self, ticket: Ticket, lease: Lease | None = None) -> None:
        self.ticket = ticket
        self.fence = ticket.fence
        self.is_function = ticket.is_function
        self.lease = lease
        self.state = State.LEASED
        self.started_at = 0
        self.pid = 0
        # The number of its output directory; 0 while it has none.
        self.place = 0
        self.progress: Progress | None = None
        self.result: Result | None = None
        # The result is on disk, so it may leave.
        self.is_sendable = False
        # When the result was last sent, by the monotonic clock.
        self.sent_at = 0.0
        # Why somebody asked for its end; None while nobody has.
        self.stop_reason: str | None = None

    @classmethod
    def of_lease(cls, lease: Lease) -> Attempt:
        """Return a new attempt for a lease that has just arrived."""
        is_function = type(lease.call) is FunctionCall
        fence, execution_id, attempt, namespace, workspace, job, *_ = lease
        return cls(
            Ticket(
                fence, execution_id, attempt, namespace, workspace, job, is_function
            ),
            lease,
        )

    def move(self, event: Event) -> None:
        """Apply an event; a refused one raises and changes nothing."""
        self.state = after(self.state, event)

    def end(self, result: Result) -> None:
        """The attempt has ended like this."""
        self.move(Event.END)
        self.result = result
        self.lease = None
