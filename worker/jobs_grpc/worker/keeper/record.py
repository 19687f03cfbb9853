"""The exit record: how an attempt ended, what it used, and what it took to end it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobs_grpc.worker.keeper.plain import SHAPES, Form, MalformedError, Shape


class Outcome(StrEnum):
    """How an attempt ended; what happened first is what counts."""

    EXITED = "exited"
    SIGNALED = "signaled"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    START_FAILED = "start_failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSent:
    """One signal to the whole tree: when, and how many processes it had then."""

    signal: str
    sent_at_us: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A process that was still there when the keeper gave up."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The proof of a kill: signals sent, and what was left."""

    signals: tuple[SignalSent, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    # Somebody outside the tree still held the job's output when the attempt ended.
    output_leaked: bool = False


NO_RECEIPT: Final = Receipt()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """The last word on one attempt; durable before anybody is told.

    CPU and memory are those of the main process, of the descendants that were waited
    for, and of the orphans that the keeper reaped for it. `peak_memory_bytes` is the peak
    of the largest single process; the kernel counts the moment before `exec` too, so it
    never shows less than the size of the keeper (about 15 MB).

    `output_bytes` counts all output, system frames and what the limit dropped included:
    it is the offset at which a reader of the spool is done.
    """

    fence: int
    outcome: Outcome
    exit_code: int | None = None
    signal: str | None = None
    started_at_us: int | None = None
    finished_at_us: int
    cpu_user_us: int = 0
    cpu_system_us: int = 0
    peak_memory_bytes: int = 0
    output_bytes: int = 0
    output_dropped: int = 0
    receipt: Receipt = NO_RECEIPT
    reason: str | None = None
    error: str | None = None


def signal_name(number: int) -> str:
    """Return ``TERM`` for 15; real-time signals are named from the first one."""
    if number >= signal.SIGRTMIN:
        return f"RTMIN+{number - signal.SIGRTMIN}"
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def signal_number(name: str) -> int | None:
    """Return the number of ``TERM`` or ``SIGTERM``; None when there is no such signal."""
    return _NUMBERS.get(name.upper().removeprefix("SIG"))


_NUMBERS: Final = {
    name.removeprefix("SIG"): int(number)
    for name, number in signal.Signals.__members__.items()
}


def _outcome(value: object) -> Outcome:
    try:
        return Outcome(value)  # type: ignore[arg-type]
    except ValueError:
        raise MalformedError(f"not an outcome: {value!r:.80}") from None


SHAPES["Outcome"] = Shape(_outcome, str)
Form(SignalSent)
Form(Survivor)
Form(Receipt)
RECORD_FORM: Final = Form(ExitRecord)
