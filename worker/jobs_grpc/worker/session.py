"""The session: what this worker may do, does, and has to tell. The heart of the worker.

Who is authoritative
--------------------
- *Which attempts are this worker's*: the leader. It leases, it cancels, and on each
  return of the worker it judges every attempt the worker still holds.
- *Whether an attempt has begun, and how it ended*: this worker. It never reports an end
  that is not on its own disk, and it keeps each until the leader has it.
- *Whether work may begin now*: both. The lease says yes, and the trust window
  (`trust.py`) says that the lease can still be believed.

A session outlives its streams. `connection/` calls in here when something arrived, and
takes what is to be told from the outbox; when a stream breaks, nothing here stops. What
was in flight is not remembered: the next welcome judges the inventory, and the answer to
each entry says what is to be told again. ::

    lease ─► waiting ─► (slot, trust) ─┬─ at least once ──────────► begin ─► run ─► end
                                       └─ at most once ─► ask ─► grant ─┘            │
                    leader ◄── outbox ◄── on disk (journal, or the keeper's record) ◄┘

What happens when
-----------------
==============================  ======================================================
the same lease comes twice      ignored: its fence is known
a lease comes beyond the slots  it waits here
the disk is too full for work   leases are given back, and the heartbeat says why
trust has run out               leases wait, grants lapse and are asked for again
a cancel precedes the begin     `not_started` is reported
a cancel precedes the grant     the same; the grant is ignored when it comes
the stream breaks               work goes on; the outbox is emptied, see above
a result is not acknowledged    sent again on the next stream, and after a while on this
the leader lost a result        it answers `send result`, for a quarter of an hour
==============================  ======================================================

Everything here is called from the loop's thread and never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from jobs_grpc.runtime.clock import Clock
from jobs_grpc.worker import log
from jobs_grpc.worker.attempts.announcer import Announcer
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.outbox import News, Outbox
from jobs_grpc.worker.attempts.registry import Registry
from jobs_grpc.worker.attempts.table import BUSY, UNBEGUN, Event, State
from jobs_grpc.worker.restore import Restored
from jobs_grpc.worker.roles import Outputs, ResultLog, Runner
from jobs_grpc.worker.trust import Trust
from jobs_grpc.worker.work import (
    Delivery,
    Lease,
    Outcome,
    Progress,
    ReportKind,
    Result,
    Verdict,
)

# Acknowledgements come with the leader's commit; this long without means that one was
# lost, which should not happen on a living stream.
RESEND_SECONDS: Final = 30.0
CLOSING: Final = "the worker is stopping"
NO_ROOM: Final = "the worker's disk has no room for its result"
DRAINED: Final = "the worker is drained"


class Session:
    """The attempts of this worker and the rules they follow."""

    def __init__(
        self,
        *,
        slots: int,
        clock: Clock,
        trust: Trust,
        journal: ResultLog,
        outputs: Outputs,
        functions: Runner,
        processes: Runner,
    ) -> None:
        self.slots = slots
        self.registry = Registry()
        self.outbox = Outbox()
        self._clock = clock
        self._trust = trust
        self._journal = journal
        self._outputs = outputs
        self._functions = functions
        self._processes = processes
        # Why no work is taken at the moment; the leader hears it with each heartbeat.
        self.closed = ""
        self._waiting: deque[Attempt] = deque()
        # Granted when trust had run out: to be asked for again.
        self._lapsed: list[Attempt] = []
        self._busy = 0
        self._is_pumping = False
        self._is_closing = False
        self._announcer = Announcer(self.outbox)
        self._acknowledged = asyncio.Event()

    # What the leader says -----------------------------------------------------------

    def leased(self, leases: Iterable[Lease]) -> None:
        """New work has come. Known fences are ignored, so a repeated lease is harmless."""
        for lease in leases:
            if lease.fence in self.registry:
                continue
            attempt = Attempt.of_lease(lease)
            self.registry.add(attempt)
            if self._is_closing or self.closed:
                self._end_unbegun(attempt, self.closed or CLOSING)
            else:
                self._waiting.append(attempt)
        self._pump()

    def take_work(self, closed: str) -> None:
        """Take work, or with a reason: none. What has not begun is given back then.

        The leader is told by a heartbeat that goes at once, before what is given back, so
        that it does not give the same again.
        """
        if self._is_closing:
            return
        self.closed = closed
        if closed:
            waiting, self._waiting = self._waiting, deque()
            for attempt in waiting:
                if attempt.state is State.LEASED:
                    self._end_unbegun(attempt, closed)
        self.outbox.stir()

    def cancelled(self, fence: int, reason: str) -> None:
        """The end of an attempt is wanted."""
        attempt = self.registry.held.get(fence)
        if attempt is not None:
            self._stop(attempt, reason)

    def granted(self, fences: Iterable[int]) -> None:
        """These starts are committed: the attempts may begin."""
        begin = []
        for fence in fences:
            attempt = self.registry.held.get(fence)
            if attempt is None or attempt.state is not State.ASKED:
                continue
            if self._trust.holds():
                begin.append(attempt)
            else:
                self._lapsed.append(attempt)
        self._begin(begin)

    def refused(self, fences: Iterable[int]) -> None:
        """These must not begin."""
        for fence in fences:
            attempt = self.registry.held.get(fence)
            if attempt is not None and attempt.state in UNBEGUN:
                self._withdraw(attempt)
        self._pump()

    def drained(self) -> None:
        """No new work will come: what has not begun is given back.

        What has asked to begin may have been granted already, so it goes on; what runs
        is ended by the leader when the deadline of the drain has come.
        """
        for attempt in tuple(self.registry.held.values()):
            if attempt.state is State.LEASED:
                self._end_unbegun(attempt, DRAINED)

    def acknowledged(self, fences: Sequence[int]) -> None:
        """The leader has these results."""
        now = self._clock.now()
        known = []
        for fence in fences:
            attempt = self.registry.held.get(fence)
            if attempt is None or attempt.state is not State.FINISHED:
                continue
            known.append(fence)
            self.outbox.remove(fence)
            if not attempt.is_function:
                self._journal.keep(attempt)
            self.registry.acknowledge(attempt, now)
            if fence not in self._outputs:
                self._release(attempt)
        if known:
            self.registry.expire(now)
            self._journal.acknowledge(now, known)
            self._acknowledged.set()

    def judged(self, verdicts: Mapping[int, Verdict]) -> None:
        """The leader has judged the inventory of a returning worker."""
        for fence, verdict in verdicts.items():
            attempt = self.registry.find(fence)
            if attempt is None:
                continue
            match verdict:
                case Verdict.ADOPT:
                    self._tell_again(attempt)
                case Verdict.CANCEL:
                    self._stop(attempt, "the leader has ended this lease")
                    self._tell_again(attempt)
                case Verdict.FORGET:
                    self._forget(attempt)
                case Verdict.SEND_RESULT:
                    if attempt.state is State.ACKNOWLEDGED:
                        self.registry.recall(attempt)
                    self._tell_again(attempt)
        self._pump()

    def trusted(self) -> None:
        """The trust window was renewed: what waited for that may go on."""
        lapsed, self._lapsed = self._lapsed, []
        for attempt in lapsed:
            if attempt.state is State.ASKED:
                self._ask(attempt)
        self._pump()

    def disconnected(self) -> None:
        """The stream is gone: what is to be told is for the next welcome to say."""
        self.outbox.clear()
        self._lapsed.clear()

    # What the runners say -----------------------------------------------------------

    def started(self, attempt: Attempt, at: int, pid: int = 0) -> None:
        """The work has begun."""
        if attempt.state is not State.STARTING:
            return  # it has ended already, and the end was heard of first
        attempt.move(Event.START)
        attempt.started_at = at
        attempt.pid = pid
        log.attempt_started(attempt)
        self._announcer.begun(attempt)

    def progressed(self, attempt: Attempt, progress: Progress) -> None:
        """The work says how far it is; only the latest word counts."""
        if attempt.state is State.RUNNING:
            attempt.progress = progress
            self._announcer.announce_now(attempt)
            self.outbox.add(ReportKind.PROGRESS, attempt)

    def ended(self, attempt: Attempt, result: Result, *, is_durable: bool) -> None:
        """The work has ended; `is_durable` where a record of that is on disk already."""
        if attempt.state in BUSY:
            self._busy -= 1
        attempt.end(result)
        log.attempt_ended(attempt)
        if attempt.fence in self._outputs:
            self._outputs.end(attempt.fence, result.output_bytes)
        if is_durable:
            self.durable((attempt,))
        else:
            self._journal.end(attempt)
        self._pump()

    def durable(self, attempts: Iterable[Attempt]) -> None:
        """The results of these are on disk: they may be told."""
        for attempt in attempts:
            attempt.is_sendable = True
            if attempt.state is State.FINISHED:
                self.outbox.add(ReportKind.FINISHED, attempt)

    def output_settled(self, fence: int) -> None:
        """The leader has all output of an attempt, or wants none of it."""
        attempt = self.registry.find(fence)
        if attempt is not None and attempt.state is State.ACKNOWLEDGED:
            self._release(attempt)

    # What there is to tell ----------------------------------------------------------

    def batch(self) -> list[News]:
        """Take the next reports to send; empty when there are none."""
        batch = self.outbox.take()
        now = self._clock.monotonic()
        for kind, attempt in batch:
            if kind is ReportKind.FINISHED:
                attempt.sent_at = now
        return batch

    def remind(self) -> None:
        """Tell again what was told long ago and never acknowledged."""
        overdue = self._clock.monotonic() - RESEND_SECONDS
        for attempt in self.registry.held.values():
            if attempt.state is State.FINISHED and 0 < attempt.sent_at < overdue:
                self._tell_again(attempt)

    async def told(self) -> None:
        """Return when the leader has every result that there is."""
        held = self.registry.held
        while any(attempt.state is State.FINISHED for attempt in held.values()):
            self._acknowledged.clear()
            await self._acknowledged.wait()

    # The life of the session --------------------------------------------------------

    def restore(self, restored: Restored) -> None:
        """Hold what an earlier process of this worker left; before anything else."""
        for attempt in restored:
            self.registry.add(attempt)
        self._busy += len(restored.running)
        for attempt, _ in restored.running:
            self._journal.reserve(attempt)
        for attempt, at in restored.acknowledged:
            self.registry.acknowledge(attempt, at)
        self.registry.expire(self._clock.now())
        for attempt in restored.cut_short:
            self._journal.end(attempt)

    def tidy(self) -> None:
        """Free what an earlier process could not free any more."""
        for attempt in self.registry:
            if (
                attempt.state is State.ACKNOWLEDGED
                and attempt.fence not in self._outputs
            ):
                self._release(attempt)

    def close(self) -> None:
        """Begin nothing more. What has not begun is given back.

        The leader hears of it first, so that it gives nothing of it back to this worker.
        """
        self._is_closing, self.closed = True, CLOSING
        self.outbox.stir()
        for attempt in tuple(self.registry.held.values()):
            if attempt.state in UNBEGUN:
                self._end_unbegun(attempt, CLOSING)

    # ---------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Let waiting attempts begin, or ask to, as far as slots and trust allow."""
        if self._is_pumping or self._is_closing:
            return  # work that ends at once calls back in here
        self._is_pumping = True
        try:
            while self._waiting and self._busy < self.slots and self._trust.holds():
                self._begin(self._admit())
        finally:
            self._is_pumping = False

    def _admit(self) -> list[Attempt]:
        begin = []
        while self._waiting and self._busy < self.slots:
            attempt = self._waiting.popleft()
            if attempt.state is not State.LEASED:
                continue  # cancelled while it waited
            assert attempt.lease is not None
            if not self._journal.reserve(attempt):
                self._end_unbegun(attempt, NO_ROOM)
                continue
            self._busy += 1
            if attempt.lease.delivery is Delivery.AT_MOST_ONCE:
                self._ask(attempt)
            else:
                begin.append(attempt)
        return begin

    def _ask(self, attempt: Attempt) -> None:
        attempt.move(Event.ASK)
        self.outbox.add(ReportKind.STARTING, attempt)

    def _begin(self, attempts: list[Attempt]) -> None:
        if not attempts:
            return
        now = self._clock.now()
        for attempt in attempts:
            attempt.move(Event.BEGIN)
            attempt.started_at = now
            self._runner(attempt).reserve(attempt)
        self._journal.begin(attempts)
        for attempt in attempts:
            self._runner(attempt).begin(attempt)

    def _stop(self, attempt: Attempt, reason: str) -> None:
        if attempt.state in UNBEGUN:
            self._end_unbegun(attempt, reason)
        elif attempt.state in BUSY and attempt.stop_reason is None:
            attempt.stop_reason = reason
            self._runner(attempt).cancel(attempt)

    def _end_unbegun(self, attempt: Attempt, reason: str) -> None:
        now = self._clock.now()
        self._journal.begin((attempt,))
        result = Result(Outcome.NOT_STARTED, 0, now, error=reason)
        self.ended(attempt, result, is_durable=False)

    def _withdraw(self, attempt: Attempt) -> None:
        if attempt.state in BUSY:
            self._busy -= 1
        attempt.move(Event.WITHDRAW)
        self._journal.unreserve(attempt)
        self.outbox.remove(attempt.fence)
        self.registry.discard(attempt.fence)

    def _forget(self, attempt: Attempt) -> None:
        """The leader has the result, however it came by it.

        Output that it has not acknowledged is still shipped: the leader may have lost
        what it had in memory, and refuses what it does not want.
        """
        match attempt.state:
            case State.LEASED | State.ASKED:
                self._withdraw(attempt)
            case State.STARTING | State.RUNNING:
                self._stop(attempt, "the leader has ended this lease")
            case State.FINISHED:
                self.acknowledged((attempt.fence,))
            case _:
                pass
        if attempt.state is State.ACKNOWLEDGED and attempt.fence not in self._outputs:
            self.registry.discard(attempt.fence)
            self._journal.forget((attempt.fence,))

    def _tell_again(self, attempt: Attempt) -> None:
        match attempt.state:
            case State.ASKED:
                self._ask(attempt)
            case State.RUNNING:
                self.outbox.add(ReportKind.STARTED, attempt)
            case State.FINISHED if attempt.is_sendable:
                self.outbox.add(ReportKind.FINISHED, attempt)
            case _:
                pass

    def _release(self, attempt: Attempt) -> None:
        """Free what is on disk; of a process, when the journal has its result."""
        if attempt.is_function:
            self._functions.release(attempt)
        else:
            self._journal.after_notes(partial(self._processes.release, attempt))

    def _runner(self, attempt: Attempt) -> Runner:
        return self._functions if attempt.is_function else self._processes
