"""Sessions of workers: opened, resumed, silent, ended; and what they report.

A stream is not a session. The session holds the leases; it lives on without a stream for
its time to live, and its worker's jobs run on. What a worker still holds is told in its
hello, entry by entry, and each entry gets a verdict:

| the worker holds | the core knows it as | verdict |
|---|---|---|
| leased, starting, running | its lease | adopt, and the session takes it over |
| the same | its lease, cancel wanted | cancel |
| starting, running | lost, by this worker | adopt: it stays lost until its result comes |
| the same | unknown or superseded | cancel |
| finished | its lease, or lost | send the result |
| finished | unknown: its end is committed | forget |

What the core leased and the worker does not hold never reached it (or was forgotten with
a lost disk): it is taken back, see `Executions.take_back`.
"""

from __future__ import annotations

import json
from typing import Final

from jobs_grpc.controlplane.core.executions.lifecycle import Executions
from jobs_grpc.controlplane.core.rows.changes import WorkerRow
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    ReportRefused,
    ResultKept,
    SessionClosed,
    SessionDisconnected,
    SessionEnded,
    SessionGone,
    SessionOpened,
    SessionWelcomed,
    StartGranted,
    StartRefused,
)
from jobs_grpc.controlplane.core.state.execution import Execution, Result
from jobs_grpc.controlplane.core.state.inputs import (
    Beat,
    CloseSession,
    Finished,
    Held,
    OpenSession,
    Reports,
    Started,
    Starting,
    StreamClosed,
)
from jobs_grpc.controlplane.core.state.live import Live, Session
from jobs_grpc.controlplane.core.state.states import Move, Phase, State
from jobs_grpc.controlplane.core.state.story import Event
from jobs_grpc.controlplane.core.waiting.lines import Waiting

from .session_time import SessionTime

# How long a session lives without a sign of its worker, unless the server is told
# otherwise: reconnects take seconds; a dead host should cost no more than this.
SESSION_TTL: Final = 30_000_000
# How long the leader waits beyond it so that the worker, which stops starting work as
# much earlier, is surely the first to know; of a short life no more than a sixth.
GRACE: Final = 5_000_000
_GRACE_SHARE: Final = 6
# A late result of a lost attempt is believed for this long.
LOST_KEPT: Final = 86_400_000_000
# Sessions are looked over this often.
WATCH: Final = 1_000_000
# A longer time between two looks is no silence of the workers: this process was frozen,
# or the clock was set.
UNWATCHED: Final = 5_000_000


class Fleet:
    """The workers of a term."""

    def __init__(
        self,
        live: Live,
        executions: Executions,
        waiting: Waiting,
        *,
        session_ttl: int = SESSION_TTL,
        promised_ttl: str = "",
    ) -> None:
        self.time = SessionTime(session_ttl, promised_ttl)
        self._live = live
        self._executions = executions
        self._waiting = waiting
        self._watched_at: int | None = None

    def restore(self, execution: Execution, now: int) -> None:
        """Stand in for the session that held a lease in an earlier term.

        It has no stream; its worker has the whole time that it was promised to come back.
        """
        session = self._live.sessions.get(execution.session_id)
        if session is None:
            session = Session(
                id=execution.session_id,
                worker_id=execution.worker_id,
                worker=execution.worker,
                last_seen=now + self.time.promised,
            )
            self._live.sessions[session.id] = session
            self._live.sessions_by_worker[session.worker_id] = session
            self._waiting.limits.breakers.attach(session)
        session.take(execution)
        if execution.spec.is_gated:
            self._waiting.limits.enter(execution, session)

    def open(self, draft: Draft, hello: OpenSession) -> Session:
        """Begin or resume the session of a worker and settle what it holds."""
        session = self._live.sessions_by_worker.get(hello.worker_id)
        resumed = session is not None
        if session is None:
            session = Session(
                id=hello.new_session_id,
                worker_id=hello.worker_id,
                worker=hello.worker,
                last_seen=draft.now,
            )
            self._live.sessions[session.id] = session
            self._live.sessions_by_worker[session.worker_id] = session
            self.time.grow(draft, len(self._live.sessions))
        session.worker = hello.worker
        self._waiting.limits.breakers.attach(session)
        session.own_labels = session.labels = hello.labels
        session.slots = hello.slots
        session.functions = frozenset(hello.functions)
        session.version = hello.version
        session.eligible = {}
        session.stream = hello.stream
        session.has_left = False
        # What keeps it from work, if anything does, is said by its first heartbeat.
        session.closed = ""
        session.connected_at = draft.now
        session.last_seen = draft.now
        welcome = len(draft.messages)
        verdicts = self._settle(draft, session, hello.held)
        # The welcome goes before anything that settling has to say.
        draft.messages.insert(
            welcome, SessionWelcomed(session.id, hello.stream, verdicts)
        )
        draft.workers[session.worker_id] = self._row(session)
        draft.facts.append(
            SessionOpened(session.id, session.worker, session.slots, resumed)
        )
        return session

    def beat(self, draft: Draft, beat: Beat) -> None:
        session = self._session(draft, beat.session_id)
        if session is not None:
            session.last_seen = draft.now
            if beat.closed != session.closed:
                session.closed = beat.closed
                draft.facts.append(
                    SessionClosed(session.id, session.worker, beat.closed)
                )

    def close_stream(self, draft: Draft, closed: StreamClosed) -> None:
        session = self._live.sessions.get(closed.session_id)
        # A newer stream may have taken over before the old one was seen to break.
        if session is not None and session.stream == closed.stream:
            session.stream = None
            session.last_seen = draft.now
            draft.facts.append(SessionDisconnected(session.id, session.worker))

    def close(self, draft: Draft, closed: CloseSession) -> None:
        """End a session whose worker said goodbye; what it still holds is its business.

        A worker that leaves jobs running under its keeper comes back for them, so
        their leases stay until the session's time is up.
        """
        session = self._live.sessions.get(closed.session_id)
        if session is None or session.stream != closed.stream:
            return
        if session.leases:
            session.has_left = True
            session.stream = None
            session.last_seen = draft.now
            draft.facts.append(SessionDisconnected(session.id, session.worker))
        else:
            self._end(draft, session, "goodbye")

    def report(self, draft: Draft, reports: Reports) -> None:
        """Take what a worker tells, in its order."""
        session = self._session(draft, reports.session_id)
        if session is None:
            return
        session.last_seen = draft.now
        for report in reports.reports:
            match report:
                case Starting():
                    self._starting(draft, session, report)
                case Started():
                    execution = self._held_by(draft, session, report.fence, "started")
                    if execution is not None:
                        self._executions.start(draft, execution, report.at)
                case Finished():
                    self._finished(draft, session, report)

    def watch(self, draft: Draft) -> None:
        """End the sessions that have been silent for too long."""
        since = 0 if self._watched_at is None else draft.now - self._watched_at
        if self._watched_at is not None and 0 <= since < WATCH:
            return
        self._watched_at = draft.now
        if not 0 <= since <= UNWATCHED:
            for session in self._live.sessions.values():
                session.last_seen += since
        self._forget_lost(draft.now)
        self.time.expire(draft)
        time = self.time.current
        limit = draft.now - time - min(GRACE, time // _GRACE_SHARE)
        silent = [one for one in self._live.sessions.values() if one.last_seen < limit]
        for session in silent:
            self._end(draft, session, "silence")

    def _forget_lost(self, now: int) -> None:
        """Give up those that were lost too long ago; they stay `lost`."""
        lost = self._live.lost
        while lost:
            fence, oldest = next(iter(lost.items()))
            if oldest.lost_at is not None and now - oldest.lost_at <= LOST_KEPT:
                return
            del lost[fence]

    def next_watch(self) -> int | None:
        if self._watched_at is None or not self._live.sessions:
            return None
        return self._watched_at + WATCH

    def _session(self, draft: Draft, session_id: str) -> Session | None:
        session = self._live.sessions.get(session_id)
        if session is None:
            draft.messages.append(SessionGone(session_id))
        return session

    def _settle(
        self, draft: Draft, session: Session, held: tuple[Held, ...]
    ) -> tuple[tuple[int, str], ...]:
        verdicts: list[tuple[int, str]] = []
        kept: set[int] = set()
        for entry in held:
            execution = self._live.by_fence.get(entry.fence)
            mine = execution is not None and execution.session_id == session.id
            if entry.phase == "finished":
                known = mine or entry.fence in self._live.lost
                verdicts.append((entry.fence, "send_result" if known else "forget"))
                if mine:
                    kept.add(entry.fence)
                elif not known:
                    self._note_stale(draft, session, entry.fence, "finished")
                continue
            if execution is None or not mine:
                verdict = "adopt" if self._may_end(session, entry) else "cancel"
                verdicts.append((entry.fence, verdict))
                if verdict == "cancel":
                    self._note_stale(draft, session, entry.fence, entry.phase)
                continue
            kept.add(entry.fence)
            self._adopt(draft, session, execution, entry, verdicts)
        for fence, execution in tuple(session.leases.items()):
            if fence not in kept:
                self._executions.take_back(
                    draft,
                    execution,
                    f"worker {session.worker} does not have it",
                    was_held=False,
                )
        return tuple(verdicts)

    def _may_end(self, session: Session, entry: Held) -> bool:
        """Return whether this is a lost attempt that may go on to its end.

        A silence is no failure of the job: what nobody was given instead is left alone,
        and its late result resolves the execution.
        """
        lost = self._live.lost.get(entry.fence)
        return (
            lost is not None
            and lost.worker_id == session.worker_id
            and not lost.cancel_reason
            and entry.phase != "leased"
        )

    def _adopt(
        self,
        draft: Draft,
        session: Session,
        execution: Execution,
        entry: Held,
        verdicts: list[tuple[int, str]],
    ) -> None:
        if execution.state is State.CANCELLING:
            verdicts.append((entry.fence, "cancel"))
            draft.messages.append(
                CancelWanted(session.id, entry.fence, execution.cancel_reason)
            )
            return
        verdicts.append((entry.fence, "adopt"))
        if entry.phase == "running" and entry.started_at is not None:
            self._executions.start(draft, execution, entry.started_at)
        elif entry.phase == "starting":
            # Its request, or the grant, was lost with the stream.
            self._starting(draft, session, Starting(entry.fence))

    def _starting(self, draft: Draft, session: Session, report: Starting) -> None:
        execution = self._held_by(draft, session, report.fence, "starting")
        if execution is None:
            draft.messages.append(StartRefused(session.id, report.fence))
        elif execution.state is State.CANCELLING and execution.phase is Phase.LEASED:
            draft.messages.append(StartRefused(session.id, report.fence))
            self._executions.finish(
                draft,
                execution,
                Result(move=Move.CANCEL, finished_at=draft.now, never_began=True),
            )
        else:
            if execution.phase is Phase.LEASED:
                self._executions.start(draft, execution, draft.now)
            draft.messages.append(StartGranted(session.id, report.fence))

    def _finished(self, draft: Draft, session: Session, report: Finished) -> None:
        fence = report.fence
        execution = self._live.lost.get(fence)
        if execution is None or execution.worker_id != session.worker_id:
            execution = self._held_by(draft, session, fence, "finished")
        if execution is not None:
            self._executions.finish(draft, execution, report.result)
        # A repeated result is acknowledged again: its end is committed already.
        draft.messages.append(ResultKept(session.id, fence))

    def _held_by(
        self, draft: Draft, session: Session, fence: int, report: str
    ) -> Execution | None:
        execution = self._live.by_fence.get(fence)
        if execution is None or execution.session_id != session.id:
            draft.facts.append(ReportRefused(session.id, fence, report))
            self._note_stale(draft, session, fence, report)
            return None
        return execution

    def _note_stale(
        self, draft: Draft, session: Session, fence: int, report: str
    ) -> None:
        """Tell the story of an execution that a worker still speaks of an old attempt."""
        old = self._live.superseded.get(fence)
        if old is None or report in old.refused:
            return
        old.refused.add(report)
        draft.note_event(
            old.execution,
            Event.REPORT_REFUSED,
            fence=fence,
            report=report,
            worker=session.worker,
        )

    def _end(self, draft: Draft, session: Session, reason: str) -> None:
        leases = tuple(session.leases.values())
        for execution in leases:
            self._executions.take_back(
                draft,
                execution,
                f"worker {session.worker} is gone ({reason})",
                was_held=True,
                has_left=session.has_left,
            )
        session.stream = None
        self._live.sessions.pop(session.id, None)
        self._live.sessions_by_worker.pop(session.worker_id, None)
        draft.workers[session.worker_id] = self._row(session)
        draft.facts.append(
            SessionEnded(session.id, session.worker, reason, len(leases))
        )

    def _row(self, session: Session) -> WorkerRow:
        return WorkerRow(
            session.worker_id,
            session.worker,
            json.dumps(dict(session.own_labels)),
            session.slots,
            json.dumps(sorted(session.functions)),
            session.version,
            session.connected_at,
            session.last_seen,
        )
