"""One attempt in the keeper: carries out what its life asks for.

`life.py` says which state may follow, `ladder.py` when to send what; this module reads
the pipes, keeps the timers, sends the signals, and makes the exit record. `settle` may be
called at any time and as often as one likes: it looks at the facts and moves on as far as
they allow.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from jobs_grpc.worker.keeper.ladder import Ladder, begin, hurry, observe
from jobs_grpc.worker.keeper.life import Fact, State, after
from jobs_grpc.worker.keeper.loop import Loop, Timer
from jobs_grpc.worker.keeper.processes.family import Family
from jobs_grpc.worker.keeper.processes.launcher import Child
from jobs_grpc.worker.keeper.protocol import AttemptStatus, Started, StartRequest
from jobs_grpc.worker.keeper.record import (
    NO_RECEIPT,
    ExitRecord,
    Outcome,
    Receipt,
    SignalSent,
    Survivor,
    signal_name,
    signal_number,
)
from jobs_grpc.worker.keeper.spool import (
    SpoolWriter,
    Stream,
)

# What a pipe holds. One buffer for all: it is emptied before the next read.
_BUFFER: Final = bytearray(1 << 16)
_VIEW: Final = memoryview(_BUFFER)
# Leftovers of a job that ended by itself had their chance; they get a short grace.
SWEEP_GRACE_SECONDS: Final = 2.0
# Once the tree is gone, a pipe that is still open is in a stranger's hands.
DRAIN_SECONDS: Final = 1.0
# A dying process closes its pipes shortly before it is reaped; only one that outlives
# its output by more than this is signaled.
HUSH_SECONDS: Final = 0.1
# How the reason begins for which a job that prints nothing is ended.
SILENT: Final = "no output for"
_NEVER: Final = float("inf")
# A pipe is read this often after the end, so that a flood by a stranger cannot hold us.
_LAST_READS: Final = 64


class Owner(Protocol):
    """What an attempt needs of the keeper."""

    loop: Loop
    family: Family

    def output_grew(self, attempt: Attempt) -> None:
        """Tell sessions soon that there is more to read."""
        ...

    def attempt_ended(self, attempt: Attempt, record: ExitRecord) -> None:
        """Make the record durable, then tell sessions."""
        ...


@dataclass(slots=True)
class Usage:
    """What the reaped processes of an attempt have used."""

    user_us: int = 0
    system_us: int = 0
    peak_bytes: int = 0

    def add(self, usage: resource.struct_rusage) -> None:
        """Count one more reaped process."""
        self.user_us += round(usage.ru_utime * 1_000_000)
        self.system_us += round(usage.ru_stime * 1_000_000)
        self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * 1024)


class Attempt:
    """A job process, its tree and its output, from started to recorded."""

    def __init__(
        self,
        *,
        request: StartRequest,
        child: Child,
        started: Started,
        spool: SpoolWriter,
        owner: Owner,
    ) -> None:
        self.fence = request.fence
        self.started = started
        self.spool = spool
        self.state = State.RUNNING
        # The request is not kept: it holds the environment, and standard input.
        self._signal = signal_number(request.signal) or signal.SIGTERM
        self._grace = request.grace_seconds
        self._linger = request.linger_seconds
        self._owner = owner
        self._pipes = {child.stdout: Stream.STDOUT, child.stderr: Stream.STDERR}
        self._main_exited = False
        self._status: int | None = None
        self._usage = Usage()
        self._ladder: Ladder | None = None
        self._patience_until = 0.0
        self._hushed: float | None = None
        self._timer: Timer | None = None
        self._stop_outcome: Outcome | None = None
        self._reason: str | None = None
        self._signals: list[SignalSent] = []
        self._survivors: tuple[Survivor, ...] = ()
        self._leaked = False
        # Wall time that never steps within an attempt.
        self._wall_us = started.started_at_us - time.monotonic_ns() // 1000
        for descriptor in self._pipes:
            owner.loop.watch(descriptor, self._readable)
        now = time.monotonic()
        limit, silence = request.timeout_seconds, request.silence_seconds
        self._deadline = _NEVER if limit is None else now + limit
        self._silence = silence
        self._heard_at = now
        if limit is not None or silence is not None:
            self._watch_limits()

    def status(self) -> AttemptStatus:
        """Return what sessions may know."""
        started = self.started
        return AttemptStatus(
            fence=self.fence,
            state="running" if self.state is State.RUNNING else "ending",
            pid=started.pid,
            start_ticks=started.start_ticks,
            boot_id=started.boot_id,
            started_at_us=started.started_at_us,
            output_bytes=self.spool.size,
        )

    def now_us(self) -> int:
        """Return microseconds since the epoch."""
        return self._wall_us + time.monotonic_ns() // 1000

    def main_exited(self, status: int, usage: resource.struct_rusage) -> None:
        """Take the news that the main process was reaped; `settle` must follow."""
        self._main_exited = True
        self._status = os.waitstatus_to_exitcode(status)
        self._usage.add(usage)
        if self.state is State.RUNNING:
            self._cancel_timer()
            self._patience_until = time.monotonic() + self._linger
        self._move(Fact.MAIN_EXITED)

    def orphan_exited(self, usage: resource.struct_rusage) -> None:
        """Take the news that an adopted process was reaped; `settle` must follow."""
        self._usage.add(usage)

    def stop(self, outcome: Outcome, reason: str, grace_seconds: float | None) -> None:
        """Begin to end the tree; if that has begun, at most shorten the grace."""
        now = time.monotonic()
        grace = self._grace if grace_seconds is None else grace_seconds
        match self.state:
            case State.RUNNING:
                self._stop_outcome, self._reason = outcome, reason
                self._move(Fact.STOP_ASKED)
                self._begin_ladder(grace)
            case State.LINGERING:
                self._move(Fact.STOP_ASKED)
                self._begin_ladder(min(grace, SWEEP_GRACE_SECONDS))
            case _:
                self._move(Fact.STOP_ASKED)
                if self._ladder is not None and grace_seconds is not None:
                    self._ladder = hurry(self._ladder, now=now, grace_seconds=grace)
        self.settle()

    def settle(self) -> None:
        """Look at the facts, and move on as far as they allow."""
        if self._main_exited and self._pipes:
            self._drain()
        seen = None
        while seen is not self.state and self.state is not State.ENDED:
            seen = self.state
            now = time.monotonic()
            match seen:
                case State.STOPPING | State.SWEEPING:
                    self._climb(now)
                case State.LINGERING:
                    self._settle_lingering(now)
                case State.DRAINING:
                    self._settle_draining(now)
                case _:
                    pass

    # -- states ------------------------------------------------------------------------

    def _settle_lingering(self, now: float) -> None:
        alive = self._owner.family.has_leftovers(self.fence)
        if not self._pipes and not alive:
            self._end(Fact.ALL_QUIET)
        elif not self._pipes and now >= self._hushed_at(now) + HUSH_SECONDS:
            self._move(Fact.OUTPUT_CLOSED)
            self._begin_ladder(min(self._grace, SWEEP_GRACE_SECONDS))
        elif not self._pipes:
            self._wake_at(self._hushed_at(now) + HUSH_SECONDS, self.settle)
        elif now >= self._patience_until:
            self._leaked = True
            self._move(Fact.PATIENCE_PASSED)
            self._begin_ladder(min(self._grace, SWEEP_GRACE_SECONDS))
        else:
            self._wake_at(self._patience_until, self.settle)

    def _hushed_at(self, now: float) -> float:
        if self._hushed is None:
            self._hushed = now
        return self._hushed

    def _settle_draining(self, now: float) -> None:
        if not self._pipes:
            self._end(Fact.ALL_QUIET)
        elif now >= self._patience_until:
            self._leaked = True
            self._end(Fact.PATIENCE_PASSED)
        else:
            self._wake_at(self._patience_until, self.settle)

    def _begin_ladder(self, grace: float) -> None:
        self._ladder = begin(now=time.monotonic(), grace_seconds=grace)
        self._send(self._signal)

    def _climb(self, now: float) -> None:
        assert self._ladder is not None
        family = self._owner.family
        alive = not self._main_exited or family.has_leftovers(self.fence)
        self._ladder, kill = observe(self._ladder, now=now, alive=alive)
        if kill:
            self._send(signal.SIGKILL)
        if self._ladder.is_over:
            if alive:
                self._survivors = tuple(
                    Survivor(pid=process.pid, name=process.name)
                    for process in family.living(self.fence)
                )
            self._patience_until = now + (0.0 if self._leaked else DRAIN_SECONDS)
            self._move(Fact.LADDER_OVER)
        elif self._ladder.wake_at is not None:
            self._wake_at(self._ladder.wake_at, self.settle)

    def _send(self, number: int) -> None:
        processes = self._owner.family.signal(self.fence, number)
        self._note_signal(number, len(processes))
        if number != signal.SIGKILL and any(each.is_stopped for each in processes):
            # A stopped process acts on nothing before it is continued.
            processes = self._owner.family.signal(self.fence, signal.SIGCONT)
            self._note_signal(signal.SIGCONT, len(processes))

    def _note_signal(self, number: int, processes: int) -> None:
        if processes == 0:
            return
        name = signal_name(number)
        last = self._signals[-1] if self._signals else None
        if last is None or (last.signal, last.processes) != (name, processes):
            self._signals.append(
                SignalSent(signal=name, sent_at_us=self.now_us(), processes=processes)
            )

    def _watch_limits(self) -> None:
        """End it if it has run, or been silent, for too long; else look again then."""
        now, silence = time.monotonic(), self._silence
        quiet_until = _NEVER if silence is None else self._heard_at + silence
        if now >= self._deadline:
            self.stop(Outcome.TIMED_OUT, "timeout", None)
        elif now >= quiet_until:
            reason = f"{SILENT} {silence:g}s (timeouts.silence)"
            self.stop(Outcome.TIMED_OUT, reason, None)
        else:
            self._wake_at(min(self._deadline, quiet_until), self._watch_limits)

    def _move(self, fact: Fact) -> None:
        self.state = after(self.state, fact)

    # -- output ------------------------------------------------------------------------

    def _readable(self, descriptor: int) -> None:
        if self._read(descriptor) == 0 and self._main_exited:
            self.settle()

    def _read(self, descriptor: int) -> int:
        """Move what the pipe holds to the spool; return its length, -1 for nothing."""
        try:
            count = os.readv(descriptor, (_BUFFER,))
        except BlockingIOError:
            return -1
        if count == 0:
            self._close(descriptor)
            return 0
        if self._silence is not None:
            self._heard_at = time.monotonic()
        size = self.spool.size
        self.spool.write(self._pipes[descriptor], _VIEW[:count], self.now_us())
        if self.spool.size != size:
            self._owner.output_grew(self)
        return count

    def _drain(self) -> None:
        """Read what is left behind by the dead; it all fits into the pipes."""
        for descriptor in tuple(self._pipes):
            for _ in range(_LAST_READS):
                if self._read(descriptor) <= 0:
                    break

    def _close(self, descriptor: int) -> None:
        self._owner.loop.close(descriptor)
        del self._pipes[descriptor]

    # -- the end -----------------------------------------------------------------------

    def _end(self, fact: Fact) -> None:
        self._move(fact)
        self._cancel_timer()
        for descriptor in tuple(self._pipes):
            self._close(descriptor)
        finished_at_us = self.now_us()
        self.spool.finish(finished_at_us)
        code, number = None, None
        if self._status is not None:
            code = self._status if self._status >= 0 else None
            number = -self._status if self._status < 0 else None
        outcome = Outcome.EXITED if number is None else Outcome.SIGNALED
        record = ExitRecord(
            fence=self.fence,
            outcome=self._stop_outcome or outcome,
            exit_code=code,
            signal=None if number is None else signal_name(number),
            started_at_us=self.started.started_at_us,
            finished_at_us=finished_at_us,
            cpu_user_us=self._usage.user_us,
            cpu_system_us=self._usage.system_us,
            peak_memory_bytes=self._usage.peak_bytes,
            output_bytes=self.spool.size,
            output_dropped=self.spool.dropped,
            receipt=self._receipt(),
            reason=self._reason,
        )
        self._owner.family.remove(self.fence)
        self._owner.attempt_ended(self, record)

    def _receipt(self) -> Receipt:
        if not self._signals and not self._leaked:
            return NO_RECEIPT
        return Receipt(
            signals=tuple(self._signals),
            survivors=self._survivors,
            output_leaked=self._leaked,
        )

    def _wake_at(self, when: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._owner.loop.at(when, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
