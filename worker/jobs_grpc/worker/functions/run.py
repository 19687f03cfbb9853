"""One function attempt while it runs, and what is reported of its end.

How an attempt ends is decided in one place (`Run.conclude`), from what the function did
and from whether somebody had asked for its end before:

======================  ==============================================================
the function            reported as
======================  ==============================================================
returns                 succeeded, with the value as JSON
raises                  failed; the error in one line, the trace in the output
ends after a cancel     cancelled, however it ended
ends after its timeout  timed out, the same
does not end            the same, and the record says that it goes on
======================  ==============================================================
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.functions.context import FunctionCancelledError
from jobs_grpc.worker.functions.decorator import Registration
from jobs_grpc.worker.functions.output import FunctionOutput
from jobs_grpc.worker.keeper.spool import (
    Stream,
)
from jobs_grpc.worker.work import Lease, Outcome, Progress, Result, in_utf8

# A result travels inside a report, and reports travel in batches.
RESULT_LIMIT: Final = 64 * 1024
ERROR_LIMIT: Final = 500
_OWN: Final = str(Path(__file__).parent)
WORKER_ENDED: Final = "the worker program ended while the function ran"


class GivenUpError(Exception):
    """The function did not end when asked to; `words` go behind the reason."""

    def __init__(self, words: str = "") -> None:
        super().__init__(words)
        self.words = words


_CANCELLATIONS: Final = (asyncio.CancelledError, FunctionCancelledError, GivenUpError)


class Run:
    """One function attempt while it runs."""

    __slots__ = (
        "attempt", "cause", "has_entered", "is_over", "is_stopping", "lease", "output",
        "progress", "registration", "started_at", "task", "timer", "waits_to_grow",
        "waits_to_tell",
    )  # fmt: skip

    def __init__(
        self,
        attempt: Attempt,
        lease: Lease,
        registration: Registration,
        output: FunctionOutput,
    ) -> None:
        self.attempt = attempt
        self.lease = lease
        self.registration = registration
        self.output = output
        self.started_at = attempt.started_at
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        # A thread has taken it up.
        self.has_entered = False
        # What the end will be called if it is not the function's own.
        self.cause: Outcome | None = None
        self.is_stopping = False
        self.is_over = False
        self.progress: Progress | None = None
        # A word to the loop is on its way.
        self.waits_to_tell = False
        self.waits_to_grow = False

    def enter(self, call: Callable[[], Any]) -> Any:
        """Call a plain function, in a thread; not if its end came before its turn."""
        if self.is_stopping:
            raise FunctionCancelledError("it was not begun")
        self.has_entered = True
        return call()

    def conclude(self, value: Any, error: BaseException | None, now: int) -> Result:
        """Return what is reported of a run that ended like this."""
        outcome, result_json, words = Outcome.SUCCEEDED, "", ""
        if self._was_made_to_end(error):
            assert self.cause is not None
            outcome, words = self.cause, self._cause_in_words()
            if isinstance(error, GivenUpError):
                words += error.words
        elif error is not None:
            outcome, words = Outcome.FAILED, _in_one_line(error)
            self._write_trace(error)
        else:
            try:
                result_json = _as_json(value)
            except Exception as unfit:  # noqa: BLE001 - values are the user's own classes
                name = self.registration.name
                outcome, words = Outcome.FAILED, f"the result of {name}: {unfit}"
        self.output.close()
        return Result(
            outcome,
            self.started_at,
            now,
            error=words,
            result_json=result_json,
            output_bytes=self.output.size,
            output_dropped=self.output.dropped,
        )

    def _was_made_to_end(self, error: BaseException | None) -> bool:
        """Whether the end is named for what was asked, or for what the function did.

        A worker that stops does not take back what a function achieved meanwhile.
        """
        if self.cause is Outcome.LOST:
            return isinstance(error, _CANCELLATIONS)
        return self.cause is not None

    def _cause_in_words(self) -> str:
        match self.cause:
            case Outcome.TIMED_OUT:
                return f"timed out after {self.lease.timeout_seconds:g}s"
            case Outcome.LOST:
                return WORKER_ENDED
            case _:
                return self.attempt.stop_reason or "cancelled"

    def _write_trace(self, error: BaseException) -> None:
        trace = _own_frames_removed(error.__traceback__)
        lines = traceback.format_exception(type(error), error, trace)
        self.output.flush(Stream.STDERR)
        self.output.write(Stream.STDERR, "".join(lines).encode(errors="replace"))


def _as_json(value: Any) -> str:
    if value is None:
        return "null"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    size = len(text.encode())
    if size > RESULT_LIMIT:
        raise ValueError(f"{size} bytes of JSON; at most {RESULT_LIMIT} are kept")
    return text


def _in_one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an error that cannot be printed is still one
        text = ""
    name = type(error).__name__
    return in_utf8(f"{name}: {text}"[:ERROR_LIMIT]) if text else name


def _own_frames_removed(trace: TracebackType | None) -> TracebackType | None:
    rest = trace
    while rest is not None and rest.tb_frame.f_code.co_filename.startswith(_OWN):
        rest = rest.tb_next
    return rest if rest is not None else trace
