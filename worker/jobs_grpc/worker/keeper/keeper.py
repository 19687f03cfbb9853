"""The keeper itself: serves sessions, owns attempts, reaps, and knows when to leave.

One turn: wait; call back (pipes, sessions, timers); reap; serve requests; begin an fsync;
send. Everything that may be told is gathered during the turn and sent at its end.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Final

from jobs_grpc.worker.keeper.attempt import Attempt
from jobs_grpc.worker.keeper.cgroup import Cgroups
from jobs_grpc.worker.keeper.loop import Loop
from jobs_grpc.worker.keeper.memory.archive import Archive, Ended
from jobs_grpc.worker.keeper.memory.journal import started_fact, starting_fact
from jobs_grpc.worker.keeper.memory.root import Root
from jobs_grpc.worker.keeper.processes.family import KEEPER_VARIABLE, Family
from jobs_grpc.worker.keeper.processes.launcher import Launcher, StartError
from jobs_grpc.worker.keeper.processes.tree import StartClock, boot_id
from jobs_grpc.worker.keeper.protocol import (
    LISTING_PART,
    VERSION,
    AttemptStatus,
    CancelRequest,
    Done,
    ForgetRequest,
    Growth,
    HelloRequest,
    Listing,
    ListRequest,
    Message,
    ProtocolError,
    Refused,
    ShutdownRequest,
    Started,
    StartFailed,
    StartRequest,
    Welcome,
    encode,
    encode_exited,
    peer_is_trusted,
    record_json,
)
from jobs_grpc.worker.keeper.record import ExitRecord, Outcome, signal_number
from jobs_grpc.worker.keeper.sessions import Session
from jobs_grpc.worker.keeper.spool import (
    SpoolWriter,
)

logger = logging.getLogger(__name__)

# How long output may wait to be announced: short beside the 50 ms that a line may take
# to a follower, long enough that a flood costs 200 messages a second and not more.
ANNOUNCE_SECONDS: Final = 0.005
# How often to look whether the root directory still exists.
_LOOK_AROUND_SECONDS: Final = 60.0
# How often to try again when the disk refuses the journal.
_RETRY_SECONDS: Final = 1.0


class Keeper:
    """The parent of all jobs under one root."""

    def __init__(self, root: Root, *, idle_exit_seconds: float) -> None:
        self._root = root
        self._idle_exit = idle_exit_seconds
        self._boot_id = boot_id()
        self._id = root.identity()
        self.loop = Loop()
        cgroups = self._cgroups = Cgroups.find(self._id)
        self.family = Family(self._id, cgroups=cgroups)
        self._launcher = Launcher()
        self._running: dict[int, Attempt] = {}
        self._sessions: set[Session] = set()
        self._grown: dict[int, int] = {}
        self._is_announcing = False
        self._is_retrying = False
        self._is_leaving = False
        self._idle_since: float | None = None
        self._archive = Archive(
            root,
            keeper_id=self._id,
            boot_id=self._boot_id,
            tell=lambda text: self._broadcast(encode_exited(text)),
            kill_group=self._kill_group,
        )
        self._journal = self._archive.journal
        self.loop.watch(self._journal.notice, self._journal.synced)
        self._listener = root.listen()
        self.loop.watch(self._listener.fileno(), self._accept)
        self._look_around()

    def run(self) -> None:
        """Serve until there is nothing left to do."""
        failures = 0
        while not (self._is_leaving and self._is_settled()):
            self.loop.turn(wait=not any(each.has_requests for each in self._sessions))
            try:
                self.run_once()
                failures = 0
            except Exception:
                # Dying would kill every job; what failed is tried again next turn.
                logger.exception("a turn failed")
                time.sleep(min(1.0, 0.01 * 2**failures))
                failures = min(failures + 1, 10)
        if self._cgroups is not None:
            self._cgroups.close()
        self._root.release()

    def _kill_group(self, fence: int) -> None:
        if self._cgroups is not None:
            self._cgroups.kill(fence)
            self._cgroups.leave(fence)

    def run_once(self) -> None:
        """Do what follows the callbacks of a turn."""
        if self.loop.children_changed:
            self.loop.children_changed = False
            self._reap()
        for session in tuple(self._sessions):
            session.work()
        if self.loop.stop_signaled:
            self.loop.stop_signaled = False
            # Who says it twice does not want to wait for anybody's grace.
            grace = 0.0 if self._is_leaving else None
            self._leave("the keeper was told to stop", grace)
        self._journal.pump()
        if self._journal.is_stuck and not self._is_retrying:
            self._is_retrying = True
            self.loop.at(time.monotonic() + _RETRY_SECONDS, self._retry)
        for session in tuple(self._sessions):
            session.flush()
        self._consider_leaving()

    # -- sessions ----------------------------------------------------------------------

    def _accept(self, _descriptor: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            return
        if not peer_is_trusted(connection, os.geteuid(), self._root.path.stat().st_uid):
            connection.close()
            return
        session = Session(
            connection,
            loop=self.loop,
            serve=self._serve,
            gone=self._sessions.discard,
        )
        self._sessions.add(session)

    def _serve(self, session: Session, request_id: int, request: Message) -> None:
        match request:
            case StartRequest():
                self._start(session, request_id, request)
            case CancelRequest():
                self._cancel(session, request_id, request)
            case ForgetRequest(fence=fence):
                session.answer(request_id, self._forget(fence))
            case ListRequest():
                self._list(session, request_id)
            case HelloRequest():
                session.answer(request_id, self._welcome())
            case ShutdownRequest(kill=kill):
                session.answer(request_id, self._shut_down(kill=kill))
            case _:
                raise ProtocolError(f"{type(request).__name__} is not a request")

    def _welcome(self) -> Welcome:
        return Welcome(
            version=VERSION,
            pid=os.getpid(),
            boot_id=self._boot_id,
            keeper_id=self._id,
        )

    def _broadcast(self, frame: bytes) -> None:
        for session in tuple(self._sessions):
            session.send(frame)

    # -- requests ----------------------------------------------------------------------

    def _start(self, session: Session, request_id: int, request: StartRequest) -> None:
        attempt = self._running.get(request.fence)
        ended = self._archive.get(request.fence)
        if attempt is not None:
            session.answer(request_id, attempt.started)
        elif ended is not None:
            self._answer_ended(ended, session, request_id)
        elif self._is_leaving:
            session.answer(request_id, Refused(error="the keeper is shutting down"))
        elif self._journal.is_tight:
            error = "the keeper's disk has no room for the end of another attempt"
            session.answer(request_id, Refused(error=error))
        else:
            self._start_new(session, request_id, request)

    def _start_new(
        self, session: Session, request_id: int, request: StartRequest
    ) -> None:
        try:
            attempt = self._launch(request)
        except StartError as error:
            answer = StartFailed(fence=request.fence, error=str(error))
            record = ExitRecord(
                fence=request.fence,
                outcome=Outcome.START_FAILED,
                finished_at_us=time.time_ns() // 1000,
                error=str(error),
            )
            ended = self._archive.conclude(answer, record)
            ended.once_durable(lambda: session.answer(request_id, answer))
        else:
            self._running[request.fence] = attempt
            session.answer(request_id, attempt.started)

    def _launch(self, request: StartRequest) -> Attempt:
        fence = request.fence
        name, equals, value = request.marker.partition("=")
        if not name or not equals:
            raise StartError(f"the marker {request.marker!r} is not NAME=value")
        if signal_number(request.signal) is None:
            raise StartError(f"there is no signal {request.signal}")
        self._note_starting(fence, request.marker)
        clock = StartClock()
        child = self._launcher.start(
            argv=request.argv,
            env={**request.env, name: value, KEEPER_VARIABLE: self._id},
            cwd=request.cwd,
            stdin=request.stdin,
        )
        started = self._note_started(fence, child.pid, clock.ticks_of(child.pid))
        self.family.add(
            fence, child.pid, os.fsencode(request.marker), (child.stdout, child.stderr)
        )
        spool = SpoolWriter(self._root.attempt(fence), request.output_limit_bytes)
        return Attempt(
            request=request, child=child, started=started, spool=spool, owner=self
        )

    def _note_starting(self, fence: int, marker: str) -> None:
        """Let the kernel have the marker before there is a process to find by it."""
        self._journal.note(fence, starting_fact(fence, marker))
        try:
            self._journal.flush()
        except OSError as error:
            sentence = f"the keeper cannot write its journal: {error.strerror}"
            raise StartError(sentence) from error

    def _note_started(self, fence: int, pid: int, start_ticks: int) -> Started:
        started_at_us = time.time_ns() // 1000
        fact = started_fact(
            fence, pid=pid, start_ticks=start_ticks, started_at_us=started_at_us
        )
        self._journal.note(fence, fact)
        return Started(
            fence=fence,
            pid=pid,
            start_ticks=start_ticks,
            boot_id=self._boot_id,
            started_at_us=started_at_us,
        )

    def _answer_ended(self, ended: Ended, session: Session, request_id: int) -> None:
        if ended.is_durable:
            session.answer(request_id, ended.answer)
            session.send(encode_exited(record_json(ended.record())))
        else:
            ended.once_durable(lambda: session.answer(request_id, ended.answer))

    def _cancel(
        self, session: Session, request_id: int, request: CancelRequest
    ) -> None:
        attempt = self._running.get(request.fence)
        if attempt is not None:
            attempt.stop(Outcome.CANCELLED, request.reason, request.grace_seconds)
        status = self._status(request.fence)
        sentence = f"attempt {request.fence} is not known"
        session.answer(request_id, status or Refused(error=sentence))

    def _forget(self, fence: int) -> Done | Refused:
        if fence in self._running or not self._archive.forget(fence):
            return Refused(error=f"attempt {fence} has not ended")
        return Done()

    def _list(self, session: Session, request_id: int) -> None:
        fences = [*self._running, *self._archive.fences]
        for start in range(0, max(1, len(fences)), LISTING_PART):
            part = map(self._status, fences[start : start + LISTING_PART])
            listing = Listing(
                attempts=tuple(status for status in part if status is not None),
                is_last=start + LISTING_PART >= len(fences),
            )
            session.answer(request_id, listing)

    def _status(self, fence: int) -> AttemptStatus | None:
        attempt = self._running.get(fence)
        if attempt is not None:
            return attempt.status()
        ended = self._archive.get(fence)
        return None if ended is None else ended.status()

    def _shut_down(self, *, kill: bool) -> Done | Refused:
        if self._running and not kill:
            return Refused(error=f"{len(self._running)} attempts have not ended")
        self._leave("the keeper was shut down")
        return Done()

    # -- attempts ----------------------------------------------------------------------

    def output_grew(self, attempt: Attempt) -> None:
        """Announce the size of a spool within a few milliseconds."""
        self._grown[attempt.fence] = attempt.spool.size
        if not self._is_announcing:
            self._is_announcing = True
            self.loop.at(time.monotonic() + ANNOUNCE_SECONDS, self._announce)

    def attempt_ended(self, attempt: Attempt, record: ExitRecord) -> None:
        """Make the end durable, then tell everybody."""
        del self._running[attempt.fence]
        self._grown.pop(attempt.fence, None)
        self._archive.conclude(attempt.started, record)
        if not self._running:
            self.family.end_strays()

    def _announce(self) -> None:
        self._is_announcing = False
        if self._grown:
            fences, sizes = tuple(self._grown), tuple(self._grown.values())
            self._grown.clear()
            self._broadcast(encode(Growth(fences=fences, sizes=sizes)))

    def _reap(self) -> None:
        """Collect every dead child, then let its attempt look at the facts."""
        touched: dict[int, Attempt] = {}
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            fence, was_main = self.family.reaped(pid)
            attempt = None if fence is None else self._running.get(fence)
            if attempt is None:
                continue
            touched[attempt.fence] = attempt
            if was_main:
                attempt.main_exited(status, usage)
            else:
                attempt.orphan_exited(usage)
        self.family.take_in()
        for attempt in touched.values():
            attempt.settle()
        if not self._running:
            self.family.end_strays()

    # -- the end -----------------------------------------------------------------------

    def _leave(self, reason: str, grace_seconds: float | None = None) -> None:
        self._is_leaving = True
        for attempt in tuple(self._running.values()):
            attempt.stop(Outcome.CANCELLED, reason, grace_seconds)

    def _is_settled(self) -> bool:
        return not self._running and self._journal.is_idle

    def _consider_leaving(self) -> None:
        if self._sessions or not self._is_settled():
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
            self.loop.at(self._idle_since + self._idle_exit, self._leave_if_idle)

    def _leave_if_idle(self) -> None:
        since = self._idle_since
        if since is not None and time.monotonic() - since >= self._idle_exit:
            self._is_leaving = True

    def _look_around(self) -> None:
        if not self._root.is_still_there() and not self._sessions:
            self._leave("the keeper's directory was removed")
        self.loop.at(time.monotonic() + _LOOK_AROUND_SECONDS, self._look_around)

    def _retry(self) -> None:
        self._is_retrying = False  # the turn that this timer began will try
