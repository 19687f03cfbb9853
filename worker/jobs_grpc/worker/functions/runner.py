"""Runs function attempts: coroutines in the loop, plain functions in threads.

A function that should end is asked to: a coroutine is cancelled, a plain function sees it
in its `Context`. One that does not end is given up after the grace of the job: a coroutine
can refuse its cancellation, and a thread cannot be ended by anyone. A plain function that
takes no `Context` could not notice, and is given up at once.

Almost all functions are quick. So nothing is made that a quick one does not need: no
timer (a sweep arms those of the functions that are still running), no file, no context.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from contextvars import Context as Variables
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from jobs_grpc.runtime.clock import Clock, to_datetime
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.functions.capture import CURRENT
from jobs_grpc.worker.functions.catalogue import Catalogue
from jobs_grpc.worker.functions.context import Context
from jobs_grpc.worker.functions.decorator import ArgumentsError
from jobs_grpc.worker.functions.output import FunctionOutput, OutputHome
from jobs_grpc.worker.functions.run import GivenUpError, Run
from jobs_grpc.worker.functions.threads import Ending, Threads
from jobs_grpc.worker.keeper.spool import (
    Stream,
)
from jobs_grpc.worker.roles import Listener, Outputs
from jobs_grpc.worker.work import FunctionCall, Outcome, Progress, Result

log = logging.getLogger(__name__)

# Functions that still run after this get their timers; shorter timeouts get them at once.
SWEEP_SECONDS: Final = 0.5
# A function that reports progress in a tight loop is heard this often.
PROGRESS_SECONDS: Final = 0.1


class FunctionRunner:
    """Everything that function attempts need; used from the loop's thread."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        directory: Path,
        slots: int,
        clock: Clock,
        outputs: Outputs,
    ) -> None:
        self.listener: Listener | None = None
        self._catalogue = catalogue
        self._home = OutputHome(directory=directory, clock=clock, on_growth=self._grew)
        self.spool = self._home.spool
        self._clock = clock
        self._outputs = outputs
        self._loop = asyncio.get_running_loop()
        self._threads = Threads(slots, self._thread_ended)
        self._runs: dict[int, Run] = {}
        self._by_call: dict[Callable[[], Any], Run] = {}
        self._young: list[Run] = []
        # A pristine set of context variables; each attempt gets a copy.
        self._variables = Variables()

    @property
    def names(self) -> tuple[str, ...]:
        """The functions that jobs may call."""
        return self._catalogue.names

    # As a runner of the session -----------------------------------------------------

    def reserve(self, attempt: Attempt) -> None:
        """Reserve nothing: a function makes on disk what it needs when it needs it."""

    def begin(self, attempt: Attempt) -> None:
        """Start the function, or end the attempt with what is wrong."""
        lease = attempt.lease
        assert lease is not None
        assert isinstance(lease.call, FunctionCall)
        registration = self._catalogue.get(lease.call.name)
        if registration is None:
            self._refuse(attempt, self._catalogue.unknown(lease.call.name))
            return
        try:
            arguments = registration.bind(lease.call.arguments_json, lease.params)
        except ArgumentsError as error:
            self._refuse(attempt, str(error))
            return
        fence = attempt.fence
        output = FunctionOutput(self._home, fence, lease.output_limit)
        self._runs[fence] = run = Run(attempt, lease, registration, output)
        self._start(run, arguments)
        self._watch(run)
        assert self.listener is not None
        self.listener.started(attempt, attempt.started_at)

    def cancel(self, attempt: Attempt) -> None:
        """Make the function end."""
        run = self._runs.get(attempt.fence)
        if run is not None:
            self._stop(run, Outcome.CANCELLED)

    def release(self, attempt: Attempt) -> None:
        """Remove the spool."""
        if attempt.result is not None and attempt.result.output_bytes:
            directory = self._home.spool(attempt.fence).parent
            self._loop.run_in_executor(None, shutil.rmtree, directory, True)

    async def stop(self, seconds: float) -> None:
        """End every function because the worker stops.

        Those that end by themselves in time are reported as they ended, the others
        as lost: they were begun, and did not come to an end.
        """
        tasks = []
        for run in tuple(self._runs.values()):
            self._stop(run, Outcome.LOST)
            if run.task is not None:
                tasks.append(run.task)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for run in tuple(self._runs.values()):
            self._end(run, None, GivenUpError())
        self._threads.close()

    # ---------------------------------------------------------------------------------

    def _start(self, run: Run, arguments: dict[str, Any]) -> None:
        registration = run.registration
        variables = self._variables.copy()
        variables.run(CURRENT.set, run.output)
        call = registration.call
        if registration.takes_context:
            call = partial(call, self._context(run))
        if registration.is_coroutine:
            run.task = self._loop.create_task(
                self._carry_out(run, call, arguments), context=variables
            )
        else:
            entry = partial(run.enter, partial(variables.run, call, **arguments))
            self._by_call[entry] = run
            self._threads.submit(entry)

    async def _carry_out(
        self, run: Run, call: Callable[..., Any], arguments: dict[str, Any]
    ) -> None:
        """Await a coroutine function. Its task ends well, however the function does.

        A task lets `SystemExit` through to the loop, which would end the daemon.
        """
        run.has_entered = True
        value = error = None
        try:
            value = await call(**arguments)
        except GeneratorExit:  # the loop is gone, and nobody is left to be told
            raise
        except BaseException as caught:  # noqa: BLE001 - the end of the call, not ours
            error = caught
        self._end(run, value, error)
        error = None  # its trace holds this frame, which must not hold it in turn

    def _context(self, run: Run) -> Context:
        lease = run.lease
        due = lease.scheduled_for
        return Context(
            job=lease.job,
            namespace=lease.namespace,
            workspace=lease.workspace,
            execution_id=lease.execution_id,
            attempt=lease.attempt,
            fence=lease.fence,
            scheduled_for=to_datetime(due) if due is not None else None,
            params=MappingProxyType(dict(lease.params)),
            is_stopping=lambda: run.is_stopping,
            on_progress=partial(self._progressed, run),
            on_log=partial(_log_line, run.output),
        )

    def _refuse(self, attempt: Attempt, reason: str) -> None:
        now = self._clock.now()
        result = Result(Outcome.FAILED, attempt.started_at, now, error=reason)
        assert self.listener is not None
        self.listener.ended(attempt, result, is_durable=False)

    # Timers ---------------------------------------------------------------------------

    def _watch(self, run: Run) -> None:
        timeout = run.lease.timeout_seconds
        if timeout is None:
            return
        if timeout <= SWEEP_SECONDS * 2:
            self._arm(run)
            return
        if not self._young:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self._young.append(run)

    def _sweep(self) -> None:
        young, self._young = self._young, []
        for run in young:
            if not run.is_over and run.timer is None:
                self._arm(run)

    def _arm(self, run: Run) -> None:
        timeout = run.lease.timeout_seconds
        assert timeout is not None
        passed = (self._clock.now() - run.attempt.started_at) / 1e6
        run.timer = self._loop.call_later(
            max(0.0, timeout - passed), self._stop, run, Outcome.TIMED_OUT
        )

    # Ends -----------------------------------------------------------------------------

    def _stop(self, run: Run, cause: Outcome) -> None:
        """Ask a run to end; give up on it after its grace."""
        if run.is_stopping or run.is_over:
            return
        run.is_stopping = True
        run.cause = cause
        if run.timer is not None:
            run.timer.cancel()
        grace = run.lease.grace_seconds
        if run.task is not None:
            run.task.cancel()
            if not run.has_entered:  # so it never will, and nobody else would say so
                self._end(run, None, asyncio.CancelledError())
                return
        elif not run.registration.takes_context:
            grace = 0.0
        run.timer = self._loop.call_later(grace, self._abandon, run)

    def _abandon(self, run: Run) -> None:
        if run.is_over:
            return
        if run.task is not None:
            words = "; it goes on, for it ignored its cancellation"
        elif run.has_entered:
            words = "; its thread goes on, for a thread cannot be ended"
            self._threads.replace()
        else:
            words = ""
        self._end(run, None, GivenUpError(words))
        if words:
            name, execution = run.registration.name, run.lease.execution_id
            log.warning("function %s of execution %s%s", name, execution, words)

    def _thread_ended(self, ending: Ending) -> None:
        run = self._by_call.pop(ending.call)
        self._end(run, ending.value, ending.error)

    def _end(self, run: Run, value: Any, error: BaseException | None) -> None:
        if run.is_over:
            return  # given up before
        run.is_over = True
        if run.timer is not None:
            run.timer.cancel()
        attempt = run.attempt
        self._runs.pop(attempt.fence, None)
        result = run.conclude(value, error, self._clock.now())
        if result.output_bytes:
            self._note_growth(run)
        assert self.listener is not None
        self.listener.ended(attempt, result, is_durable=False)

    # Output and progress, from any thread ---------------------------------------------

    def _grew(self, fence: int) -> None:
        run = self._runs.get(fence)
        if run is not None and not run.waits_to_grow:
            run.waits_to_grow = True
            self._call_in_loop(self._tell_growth, run)

    def _tell_growth(self, run: Run) -> None:
        run.waits_to_grow = False
        if not run.is_over:
            self._note_growth(run)

    def _note_growth(self, run: Run) -> None:
        fence = run.attempt.fence
        self._outputs.track(run.attempt, self._home.spool(fence))
        self._outputs.grown(fence, run.output.size)

    def _progressed(self, run: Run, fraction: float, message: str) -> None:
        run.progress = Progress(self._clock.now(), fraction, message)
        if not run.waits_to_tell:
            run.waits_to_tell = True
            self._call_in_loop(self._tell_progress, run)

    def _call_in_loop(self, callback: Callable[[Run], None], run: Run) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens
            self._loop.call_soon_threadsafe(callback, run)

    def _tell_progress(self, run: Run) -> None:
        """Tell the latest word, and again after a pause if there is a newer one."""
        run.waits_to_tell = False  # first: a thread that finds it raised is heard
        progress, run.progress = run.progress, None
        if progress is None or run.is_over:
            return
        run.waits_to_tell = True
        assert self.listener is not None
        self.listener.progressed(run.attempt, progress)
        self._loop.call_later(PROGRESS_SECONDS, self._tell_progress, run)


def _log_line(output: FunctionOutput, text: str) -> None:
    output.flush(Stream.STDOUT)
    output.write(Stream.STDOUT, text.encode(errors="backslashreplace") + b"\n")
