"""A core with its store and its clock, stepped by hand: no loop, no waiting.

What a step changes is committed to a store in memory before the step is given back, so
every test of the core is also a test of what it writes, and `restart` begins the next
term from exactly that.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.fleet.sessions import LOST_KEPT
from jobs_grpc.controlplane.core.rows.changes import DecisionRow, ExecutionRow
from jobs_grpc.controlplane.core.rows.story import AttemptRow
from jobs_grpc.controlplane.core.state.draft import Step
from jobs_grpc.controlplane.core.state.effects import (
    Fact,
    LeaseGranted,
    Message,
    SessionWelcomed,
)
from jobs_grpc.controlplane.core.state.errors import RefusedError
from jobs_grpc.controlplane.core.state.inputs import (
    Finished,
    Held,
    Input,
    Reports,
    Started,
    Starting,
    StreamClosed,
    Submission,
)
from jobs_grpc.controlplane.core.state.live import Job, Session
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.leader.loading import build_core
from jobs_grpc.controlplane.storage.memory import MemoryStore
from jobs_grpc.controlplane.storage.store import DecisionFilter, ExecutionFilter
from support.jobs import (
    NAMESPACE,
    NOON,
    SECOND,
    apply,
    hello,
    key,
    result,
    spec,
    submission,
    submit,
)

T = TypeVar("T")
M = TypeVar("M")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing but its turn."""
    try:
        while True:
            work.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value


class Stage:
    """One leader after another over one store."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now
        self.store = MemoryStore()
        self.streams = 0
        self.messages: list[Message] = []
        self.facts: list[Fact] = []
        self.core = self._begin()
        self.wake_at: int | None = None

    def _begin(self) -> Core:
        term = finish(self.store.acquire_term(holder="h", address="a", now=self.now))
        state = finish(self.store.load_active(lost_since=self.now - LOST_KEPT))
        return build_core(state, term=term, now=self.now)

    def restart(self, *, after: float = 0) -> Step:
        """Begin the next term `after` seconds later; the old core is forgotten."""
        self.now += round(after * SECOND)
        self.core = self._begin()
        return self.step()

    def step(self, *inputs: Input) -> Step:
        """Step now, and commit; what is said is also kept in `messages` and `facts`."""
        step = self.core.step(inputs, self.now)
        if step.changes:
            finish(self.store.commit(self.core.term, step.changes))
        self.messages.extend(step.messages)
        self.facts.extend(step.facts)
        self.wake_at = step.wake_at
        return step

    def ask(self, one: Input) -> Any:
        """Step with one input; return its answer or raise its refusal."""
        reply = self.step(one).replies[0]
        if isinstance(reply, RefusedError):
            raise reply
        return reply

    def wait(self, seconds: float) -> Step:
        """Let time pass in one leap, and step."""
        self.now += round(seconds * SECOND)
        return self.step()

    def live_through(self, seconds: float) -> None:
        """Let time pass as it does for a server: stepped whenever the core wants it."""
        end = self.now + round(seconds * SECOND)
        while self.wake_at is not None and self.wake_at <= end:
            self.now = max(self.now, self.wake_at)
            self.step()
        self.now = end
        self.step()

    # Definitions and executions.

    def apply(self, **keys: Any) -> Job:
        """Create or update a job and return it."""
        made = spec(**keys)
        self.ask(apply(made))
        return self.core.live.jobs[made.key]

    def submit(self, *submissions: Submission) -> list[str]:
        return list(self.ask(submit(*submissions)))

    def submit_ad_hoc(self, count: int = 1, **keys: Any) -> list[str]:
        made = spec(**{"name": "ad-hoc", **keys})
        return self.submit(*(submission(spec=made) for _ in range(count)))

    def job(self, name: str = "backup") -> Job:
        return self.core.live.jobs[key(name)]

    # Workers.

    def connect(
        self,
        worker: str = "w1",
        *,
        slots: int = 1,
        held: Iterable[Held] = (),
        **fields: Any,
    ) -> Session:
        """Say hello on a new stream; return the session."""
        self.streams += 1
        greeting = hello(
            worker, stream=self.streams, slots=slots, held=tuple(held), **fields
        )
        return self.core.live.sessions[self.ask(greeting)]

    def cut(self, session: Session) -> Step:
        """Break the stream of a session."""
        return self.step(StreamClosed(session.id, self.streams))

    def verdicts(self) -> dict[int, str]:
        """Return what the latest welcome says of each attempt held."""
        return dict(self.said(SessionWelcomed)[-1].verdicts)

    def report(self, session: Session, *reports: Starting | Started | Finished) -> Step:
        return self.step(Reports(session.id, reports))

    def start(self, session: Session, fence: int) -> Step:
        return self.report(session, Starting(fence))

    def end(
        self, session: Session, fence: int, move: Move = Move.SUCCEED, **fields: Any
    ) -> Step:
        ended = result(move, **{"at": self.now, **fields})
        return self.report(session, Finished(fence, ended))

    # What was said and written.

    def said(self, kind: type[M]) -> list[M]:
        """Return all messages and facts of a kind so far."""
        said: list[object] = [*self.messages, *self.facts]
        return [one for one in said if isinstance(one, kind)]

    def leases(self) -> list[LeaseGranted]:
        return self.said(LeaseGranted)

    def row(self, execution_id: str) -> ExecutionRow:
        """Return an execution as it is committed."""
        (row,) = finish(
            self.store.find_executions(
                namespace=NAMESPACE, prefix=execution_id, limit=1
            )
        )
        assert row.id == execution_id
        return row

    def rows(self, job: str = "") -> list[ExecutionRow]:
        """Return all executions, oldest first."""
        wanted = ExecutionFilter(NAMESPACE, job=job)
        return list(reversed(finish(self.store.executions(wanted, 1_000_000))))

    def attempts(self, execution_id: str) -> list[AttemptRow]:
        """Return the attempts that an execution went on without."""
        return list(finish(self.store.attempts(self.row(execution_id).seq)))

    def story(self, execution_id: str, kind: str = "") -> list[dict[str, Any]]:
        """Return the events of an execution, each with its kind and its instant."""
        rows = finish(self.store.events(self.row(execution_id).seq))
        return [
            {"kind": row.kind, "at": row.at, **json.loads(row.detail_json)}
            for row in rows
            if kind in {"", row.kind}
        ]

    def decisions(self, job: str = "") -> list[DecisionRow]:
        """Return all decisions, earliest due time first."""
        wanted = DecisionFilter(NAMESPACE, job=job)
        return list(reversed(finish(self.store.decisions(wanted, 1_000_000))))

    def queue(self, name: str = "default") -> tuple[int, int]:
        """Return how many of a queue completed and failed, as committed."""
        totals, _ = finish(self.store.queues())
        found = {row.name: (row.completed, row.failed) for row in totals}
        return found.get(name, (0, 0))

    def statistics(self, name: str = "backup") -> Any:
        record = finish(self.store.job(key(name)))
        assert record is not None
        return record.statistics
