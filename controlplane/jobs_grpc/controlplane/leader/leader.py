"""Leadership: one term after another, each rebuilt from the store.

Who is authoritative: the store's term row. This process believes that it leads only while
its term's journal runs; the belief is never enough to write, because every commit checks
the term.

| event | what happens |
|---|---|
| the store fails, a commit fails | the term ends, its uncommitted inputs are refused, the next term loads what is true |
| another leader took over | the same; the next acquire waits its turn |
| `hold` (the output's disk is full) | the term ends, reads are served, the next begins after `resume` |
| stop | workers are sent away with a delay, the journal ends, the store is closed by the owner |
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.fleet.sessions import LOST_KEPT, SESSION_TTL
from jobs_grpc.controlplane.core.state.draft import Step
from jobs_grpc.controlplane.core.state.effects import ExecutionFinished, Fact
from jobs_grpc.controlplane.core.state.inputs import Input
from jobs_grpc.controlplane.storage.store import Store, StoreError
from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.runtime.tasks import Supervisor
from jobs_grpc.schedule import tzdata_version

from . import table_memory
from .journal import INBOX_LIMIT, Journal, NotLeadingError
from .loading import build_core
from .outboxes import Outboxes
from .retention import Retention
from .waiters import Waiters

log = logging.getLogger(__name__)

# How often the store is told that this leader lives: the grain at which the next one
# can tell a restart from an outage.
RENEW_EVERY: Final = 5.0
# A term that lasted so long was a good one: the next is tried without delay. Shorter ones
# end by what their own first writes met, a full disk for one.
GOOD_TERM: Final = 10.0

# How long decisions are kept unless said otherwise, in microseconds.
KEEP_DECISIONS: Final = 90 * 86_400_000_000

Subscriber = Callable[[Sequence[Fact]], None]


class Leader:
    """Holds terms, and gives the rest of the program the way into the current one."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        holder: str,
        address: str,
        session_ttl: int = SESSION_TTL,
        keep_decisions: int = KEEP_DECISIONS,
        inbox_limit: int = INBOX_LIMIT,
    ) -> None:
        # How many inputs may wait for a step.
        self._inbox_limit = inbox_limit
        # How long a session lives without a sign of its worker, µs: as it was set, and
        # as it is with so many workers; see `session_time`.
        self._usual_ttl = session_ttl
        self.session_ttl = session_ttl
        self._store = store
        self._clock = clock
        self._holder = holder
        self._keep_decisions = keep_decisions
        self._address = address
        self._journal: Journal | None = None
        self._core: Core | None = None
        self._subscribers: list[Subscriber] = []
        self._held_for = ""
        # By what the last term ended, or could not begin; "" once one has begun.
        self._ended_by = ""
        self._may_lead = asyncio.Event()
        self._may_lead.set()
        # The task of the current term; cancelled by `hold`.
        self._reign: asyncio.Task[None] | None = None
        self.outboxes = Outboxes()
        self.waiters = Waiters()
        self.on_change: Callable[[bool], None] = lambda _is_leading: None
        self.started_at = clock.now()
        # An earlier term's table may still lie about in memory.
        self._table_is_stale = False

    @property
    def term(self) -> int:
        """The current term; 0 while there is none."""
        return self._core.term if self._core is not None else 0

    @property
    def core(self) -> Core:
        """The live state, to look at. It may be a step ahead of what is committed."""
        if self._core is None:
            raise NotLeadingError(self._why_not)
        return self._core

    @property
    def _why_not(self) -> str:
        """Why there is no term, as far as that is known."""
        return self._held_for or self._ended_by

    @property
    def longer_ttl(self) -> int | None:
        """How long sessions live, if that is longer than the server was told."""
        return None if self.session_ttl == self._usual_ttl else self.session_ttl

    def subscribe(self, subscriber: Subscriber) -> None:
        """Hear of the facts of each step, after its commit, in order.

        A subscriber must not block or raise.
        """
        self._subscribers.append(subscriber)

    def notify(self, facts: Sequence[Fact]) -> None:
        """Tell subscribers of facts that no step of the core has made."""
        for subscriber in self._subscribers:
            subscriber(facts)

    def hold(self, reason: str) -> None:
        """Lead no more until `resume`: decide nothing, answer reads only.

        For a disk that is full: what is decided now could not be carried out.
        """
        self._held_for = reason
        self._may_lead.clear()
        if self._reign is not None:
            log.error("term %s is held: %s", self.term or "-", reason)
            self._reign.cancel()

    def resume(self) -> None:
        """Lead again."""
        if self._held_for:
            log.info("leading again: what held the term is over (%s)", self._held_for)
        self._held_for = ""
        self._may_lead.set()

    async def submit(self, one: Input) -> object:
        """Hand an input to the core; return its answer once it is durable."""
        if self._journal is None:
            raise NotLeadingError(self._why_not)
        return await self._journal.submit(one)

    def tell(self, one: Input) -> None:
        """Hand an input to the core that needs no answer."""
        if self._journal is None:
            raise NotLeadingError(self._why_not)
        self._journal.tell(one)

    def tell_sometime(self, one: Input) -> None:
        """Hand an input to the core that needs no answer and is in no hurry."""
        if self._journal is None:
            raise NotLeadingError(self._why_not)
        self._journal.tell_sometime(one)

    async def run(self) -> None:
        """Hold one term after another until cancelled."""
        backoff = Backoff(initial=0.2, cap=5.0)
        while True:
            await self._may_lead.wait()
            began = self._clock.monotonic()
            try:
                await self._reign_once()
            except* StoreError as group:
                for error in _leaves(group):
                    log.error("term %s ended: %s", self.term or "-", error)
                    self._ended_by = str(error)
            finally:
                self._step_down()
            if self._clock.monotonic() - began >= GOOD_TERM:
                backoff.reset()
            await asyncio.sleep(backoff.next_delay())

    async def _reign_once(self) -> None:
        """Run a term in a task of its own, which `hold` may cancel."""
        reign = self._reign = asyncio.ensure_future(self.run_once())
        try:
            await asyncio.wait([reign])
        finally:
            self._reign = None
            if not reign.done():  # we are cancelled ourselves
                reign.cancel()
                await asyncio.wait([reign])
        if not reign.cancelled():
            reign.result()

    async def run_once(self) -> None:
        """Win a term, load it, and lead until it ends."""
        now = self._clock.now()
        term = await self._store.acquire_term(
            holder=self._holder, address=self._address, now=now
        )
        if self._table_is_stale:
            table_memory.let_go()
        self._table_is_stale = True
        with table_memory.loading():
            core = build_core(
                # Not kept in a name: it is as large as the core, and the term is long.
                await self._store.load_active(lost_since=now - LOST_KEPT),
                term=term,
                now=self._clock.now(),
                tzdata=tzdata_version(),
                session_ttl=self._usual_ttl,
            )
        journal = Journal(
            core=core,
            store=self._store,
            clock=self._clock,
            release=self._release,
            inbox_limit=self._inbox_limit,
        )
        self._core, self._journal = core, journal
        self._ended_by = ""
        self.on_change(True)
        log.info("leading in term %d with %d jobs", term, len(core.live.jobs))
        async with Supervisor() as supervisor:
            supervisor.start(self._renew_forever(term), name="renew term")
            retention = Retention(
                store=self._store,
                clock=self._clock,
                term=term,
                keep=self._keep_decisions,
            )
            supervisor.start(retention.run(), name="retention")
            await journal.run()

    def _step_down(self) -> None:
        self.on_change(False)
        self._journal = None
        self._core = None
        # Their sessions live in the store; the next term welcomes them back.
        self.outboxes.send_all_away("the leader changes", 0.5)

    async def _renew_forever(self, term: int) -> None:
        while True:
            await self._store.renew_term(term, self._clock.now())
            await asyncio.sleep(RENEW_EVERY)

    def _release(self, step: Step) -> None:
        if step.session_ttl != self.session_ttl:
            seconds = step.session_ttl / 1_000_000
            log.info("the sessions of workers live %gs from now on", seconds)
            self.session_ttl = step.session_ttl
        for message in step.messages:
            self.outboxes.deliver(message)
        if not step.facts:
            return
        for subscriber in self._subscribers:
            subscriber(step.facts)
        if self.waiters:
            for fact in step.facts:
                if isinstance(fact, ExecutionFinished):
                    self.waiters.ended(fact.execution.id)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
