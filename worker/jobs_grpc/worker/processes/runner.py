"""Runs process attempts through the keeper.

This side makes an attempt ready (directories, script, environment), asks, and listens;
the keeper is the authority on what runs and how it ended. When the connection to it
breaks, another one is opened and its listing is compared with what is held here:

======================  =================================================
the keeper's listing    what follows
======================  =================================================
running                 nothing was disturbed: listen on
ended                   its record counts (`lost` if the keeper was killed)
not there, was asked    it was never begun: ask again, a fence starts once
for, not answered
not there, ran          lost: nobody can say how it ended
======================  =================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.runtime.tasks import Supervisor
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.keeper.protocol import (
    AttemptStatus,
    Exited,
    ProtocolError,
    Started,
    StartFailed,
    StartRequest,
)
from jobs_grpc.worker.keeper.record import ExitRecord
from jobs_grpc.worker.keeper_link import (
    KeeperError,
    KeeperLink,
    KeeperLostError,
    KeeperRefusedError,
    OutputGrown,
)
from jobs_grpc.worker.processes.command import (
    UnfitWorkError,
    command_argv,
    script_argv,
)
from jobs_grpc.worker.processes.environment import environment
from jobs_grpc.worker.processes.places import Places
from jobs_grpc.worker.processes.result import result_of
from jobs_grpc.worker.roles import Listener, Outputs
from jobs_grpc.worker.work import Command, Lease, Outcome, Result, Script, in_utf8

log = logging.getLogger(__name__)

# A worker that stops for good kills its jobs within a second, whatever grace they have.
HURRIED_GRACE_SECONDS: Final = 0.2
# What is released is in nobody's way; together it costs a wake-up and not one each.
RELEASE_SECONDS: Final = 0.02


class ProcessRunner:
    """Everything that process attempts need."""

    def __init__(
        self,
        *,
        places: Places,
        base_environment: Mapping[str, str],
        clock: Clock,
        outputs: Outputs,
        open_link: Callable[[Path], Awaitable[KeeperLink]] = KeeperLink.open,
    ) -> None:
        self.listener: Listener | None = None
        self._open_link = open_link
        self._places = places
        self._base = dict(base_environment)
        self._clock = clock
        self._outputs = outputs
        self._link: KeeperLink | None = None
        self._tasks = Supervisor()
        # Begun here and not ended, by fence.
        self._attempts: dict[int, Attempt] = {}
        # Those of them that the keeper has said it has.
        self._known: set[int] = set()
        # Starts that wait for an answer; starts and releases that broke off.
        self._asking: set[int] = set()
        self._answered = asyncio.Event()
        self._unanswered: dict[int, StartRequest] = {}
        self._broken_off: set[int] = set()
        self._unreleased: set[int] = set()
        self._timeouts: dict[int, float] = {}
        self._emptied = asyncio.Event()
        self._is_leaving = False
        # Work may be given from then on.
        self.ready = asyncio.Event()

    async def open(self) -> list[AttemptStatus]:
        """Reach the keeper, starting one if there is none; return what it holds."""
        link = self._link = await self._open_link(self._places.keeper)
        return await link.list()

    async def run(self) -> None:
        """Listen to the keeper, and to its successors, until cancelled."""
        async with self._tasks:
            self.ready.set()
            while True:
                await self._listen()
                if self._is_leaving:
                    return
                log.warning("the connection to the keeper broke; opening another")
                await self._reopen()

    def adopt(self, attempt: Attempt, status: AttemptStatus) -> None:
        """Take over an attempt that runs under the keeper already."""
        self._attempts[attempt.fence] = attempt
        self._known.add(attempt.fence)
        self._outputs.track(attempt, self._places.spool(attempt.fence))
        self._outputs.grown(attempt.fence, status.output_bytes)

    # As a runner of the session -----------------------------------------------------

    def reserve(self, attempt: Attempt) -> None:
        """Give the attempt its output directory; the journal is to know which."""
        try:
            attempt.place = self._places.outputs.take()
        except OSError as error:  # said again, to whom it concerns, when it begins
            log.error("cannot make an output directory: %s", error)

    def begin(self, attempt: Attempt) -> None:
        """Start the process."""
        self._attempts[attempt.fence] = attempt
        self._tasks.start(self._start(attempt), name=f"start-{attempt.fence}")

    def cancel(self, attempt: Attempt) -> None:
        """End the process tree."""
        self._tasks.start(self._cancel(attempt), name=f"cancel-{attempt.fence}")

    def release(self, attempt: Attempt) -> None:
        """Remove what is on disk, here and with the keeper; soon, and many together."""
        result = attempt.result
        if attempt.place and (result is None or result.receipt is not None):
            # Something of it had to be ended, and may not have been.
            self._remove(self._places.outputs.remove, attempt.place)
        elif attempt.place and not self._places.outputs.give_back(attempt.place):
            self._remove(self._places.outputs.remove, attempt.place)
        attempt.place = 0
        self._release_soon({attempt.fence})

    async def kill_all(self) -> None:
        """End every process tree, without patience, and the keeper after them.

        Returns when all have ended. The orders are given at once: whoever gives up
        waiting takes nothing back.
        """
        self._is_leaving = True
        link = self._link
        if link is None:
            return
        for attempt in self._attempts.values():
            attempt.stop_reason = attempt.stop_reason or "the worker is stopping"
        orders = [
            self._end_tree(link, attempt, HURRIED_GRACE_SECONDS)
            for attempt in self._attempts.values()
        ]
        try:
            # The one word for all goes first: a keeper that is still busy when we are
            # gone has heard it, and those below only shorten the grace.
            await asyncio.gather(link.shutdown(kill=True), *orders)
        except KeeperError as error:
            log.warning("the keeper did not take the order to end: %s", error)
        while self._attempts:
            self._emptied.clear()
            await self._emptied.wait()

    async def dismiss(self) -> None:
        """Let the keeper leave, unless attempts run on for the next process of ours."""
        self._is_leaving = True
        if self._link is not None:
            with contextlib.suppress(KeeperError):
                await self._link.shutdown()

    async def close(self) -> None:
        """Let go of the keeper; it and its processes go on."""
        if self._link is not None:
            await self._link.close()

    # ---------------------------------------------------------------------------------

    async def _start(self, attempt: Attempt) -> None:
        if attempt.stop_reason is not None:
            self._end_here(attempt, Outcome.CANCELLED, attempt.stop_reason)
            return
        try:
            request = self._prepare(attempt, attempt.lease)
        except (UnfitWorkError, OSError, ValueError) as error:
            self._end_here(attempt, Outcome.FAILED, str(error))
            return
        await self._ask(attempt, request)

    def _prepare(self, attempt: Attempt, lease: Lease | None) -> StartRequest:
        assert lease is not None
        if not attempt.place:
            raise UnfitWorkError("this worker cannot make an output directory")
        home = self._places.working_directory(lease)
        output = self._places.outputs.path(attempt.place)
        variables = environment(lease, base=self._base, output_dir=output)
        match lease.call:
            case Command() as command:
                argv = command_argv(command)
            case Script() as script:
                directory = self._places.make_private(lease.fence)
                argv = script_argv(script, Path(directory), variables)
            case _:
                raise UnfitWorkError(
                    "this worker does not know this kind of work; is it older than the"
                    " control plane?"
                )
        if lease.timeout_seconds is not None:
            self._timeouts[lease.fence] = lease.timeout_seconds
        return StartRequest(
            fence=lease.fence,
            argv=argv,
            env=variables,
            cwd=home,
            marker=f"JOBS_FENCE={lease.fence}",
            stdin=lease.stdin or None,
            timeout_seconds=lease.timeout_seconds,
            silence_seconds=lease.silence_seconds,
            signal=lease.signal,
            grace_seconds=lease.grace_seconds,
            output_limit_bytes=lease.output_limit,
        )

    async def _ask(self, attempt: Attempt, request: StartRequest) -> None:
        fence = attempt.fence
        # Before the answer: the first output may be announced ahead of it.
        self._outputs.track(attempt, self._places.spool(fence))
        self._asking.add(fence)
        try:
            answer = await self._require_link().start(request)
        except KeeperLostError:
            self._unanswered[fence] = request
            return  # whether it began is for the next listing to say
        except KeeperRefusedError as error:
            self._end_here(attempt, Outcome.NOT_STARTED, str(error))
            return
        except (KeeperError, ProtocolError) as error:
            answer = StartFailed(fence=fence, error=str(error))
        finally:
            self._asking.discard(fence)
            self._answered.set()
        if fence not in self._attempts:
            return  # its end was heard of first
        match answer:
            case Started():
                self._known.add(fence)
                assert self.listener is not None
                self.listener.started(attempt, answer.started_at_us, answer.pid)
                if attempt.stop_reason is not None:
                    await self._cancel(attempt)  # it came before the start was known
            case StartFailed():
                self._end_here(attempt, Outcome.FAILED, answer.error)

    async def _cancel(self, attempt: Attempt) -> None:
        if self._link is not None:
            try:
                await self._end_tree(self._link, attempt, None)
            except KeeperError as error:
                log.warning("cannot cancel attempt %d: %s", attempt.fence, error)

    async def _end_tree(
        self, link: KeeperLink, attempt: Attempt, grace: float | None
    ) -> None:
        # Refused: not known there yet, or ended; both come to light by themselves.
        with contextlib.suppress(KeeperRefusedError):
            await link.cancel(
                attempt.fence, attempt.stop_reason or "", grace_seconds=grace
            )

    def _release_soon(self, fences: set[int]) -> None:
        if fences and not self._unreleased:
            self._tasks.start(self._release_all(), name="release")
        self._unreleased |= fences

    async def _release_all(self) -> None:
        await asyncio.sleep(RELEASE_SECONDS)
        fences, self._unreleased = self._unreleased, set()
        await asyncio.gather(*(self._release(fence) for fence in fences))

    async def _release(self, fence: int) -> None:
        try:
            await self._require_link().forget(fence)
        except KeeperRefusedError:  # it was never begun there
            self._remove(self._places.remove_private, fence)
        except KeeperError:
            self._broken_off.add(fence)

    def _remove(self, remove: Callable[[int], None], number: int) -> None:
        asyncio.get_running_loop().run_in_executor(None, remove, number)

    # Ends -----------------------------------------------------------------------------

    def _exited(self, record: ExitRecord) -> None:
        attempt = self._drop(record.fence)
        timeout = self._timeouts.pop(record.fence, None)
        if attempt is None or attempt.state not in {State.STARTING, State.RUNNING}:
            return
        assert self.listener is not None
        result = result_of(record, timeout_seconds=timeout)
        if result.outcome is Outcome.CANCELLED and attempt.stop_reason is not None:
            result = result._replace(error=attempt.stop_reason)
        self.listener.ended(attempt, result, is_durable=True)

    def _end_here(self, attempt: Attempt, outcome: Outcome, words: str) -> None:
        """End an attempt of which the keeper has no record."""
        if self._drop(attempt.fence) is None:
            return
        self._timeouts.pop(attempt.fence, None)
        now = self._clock.now()
        started_at = attempt.started_at if outcome is Outcome.LOST else 0
        result = Result(outcome, started_at, now, error=in_utf8(words))
        assert self.listener is not None
        self.listener.ended(attempt, result, is_durable=False)

    def _drop(self, fence: int) -> Attempt | None:
        attempt = self._attempts.pop(fence, None)
        self._known.discard(fence)
        if not self._attempts:
            self._emptied.set()
        return attempt

    # The link -------------------------------------------------------------------------

    def _require_link(self) -> KeeperLink:
        if self._link is None:
            raise KeeperLostError("there is no keeper at the moment")
        return self._link

    async def _listen(self) -> None:
        assert self._link is not None
        async for event in self._link.events():
            match event:
                case OutputGrown(fence=fence, size=size):
                    self._outputs.grown(fence, size)
                case Exited(record=record):
                    self._exited(record)

    async def _reopen(self) -> None:
        backoff = Backoff(initial=0.1, cap=5.0)
        known = frozenset(self._known)
        while True:
            self._link = None
            while self._asking:  # they have all failed, and are about to notice
                self._answered.clear()
                await self._answered.wait()
            try:
                statuses = await self.open()
            except KeeperError as error:
                log.error("cannot reach the keeper: %s", error)
                await asyncio.sleep(backoff.next_delay())
            else:
                self._compare(statuses, known)
                return

    def _compare(self, statuses: Iterable[AttemptStatus], known: Iterable[int]) -> None:
        """Put what a new connection says beside what was known with the old one."""
        found = {status.fence: status for status in statuses}
        unanswered, self._unanswered = self._unanswered, {}
        for fence in (*known, *unanswered):
            attempt, status = self._attempts.get(fence), found.get(fence)
            if attempt is None:
                continue
            if status is not None:
                self._compare_one(attempt, status)
            elif fence in unanswered:
                again = self._ask(attempt, unanswered[fence])
                self._tasks.start(again, name=f"again-{fence}")
            else:
                words = "the keeper of the process was lost, and its record with it"
                self._end_here(attempt, Outcome.LOST, words)
        broken_off, self._broken_off = self._broken_off, set()
        self._release_soon(broken_off)

    def _compare_one(self, attempt: Attempt, status: AttemptStatus) -> None:
        if status.record is not None:
            self._exited(status.record)
            return
        self.adopt(attempt, status)
        assert self.listener is not None
        self.listener.started(attempt, status.started_at_us, status.pid)
        if attempt.stop_reason is not None:
            self.cancel(attempt)
