"""What a lease asks for and what came of it, in the worker's own words.

The wire stops at `connection/`; everything behind it speaks in these records. The two
that are made once for every attempt (`Lease`, `Result`) are named tuples: at ten
thousand attempts a second a frozen dataclass would cost as much as the rest of the path.

Instants are microseconds since the epoch, UTC; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

# What the contract means by an absent cancel policy.
DEFAULT_SIGNAL: Final = "TERM"
DEFAULT_GRACE_SECONDS: Final = 10.0

# First and last word on the size of an attempt's output, where the job has none.
DEFAULT_OUTPUT_LIMIT: Final = 64 * 1024 * 1024

NO_VALUES: Final[Mapping[str, str]] = {}


class Delivery(StrEnum):
    """What may be risked when the end of an attempt is not known."""

    # Begin only after the leader's committed grant: surely never twice.
    AT_MOST_ONCE = "at_most_once"
    # Begin at once: surely not never.
    AT_LEAST_ONCE = "at_least_once"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    # It may have run, and how it ended cannot be known.
    LOST = "lost"
    # It was never begun.
    NOT_STARTED = "not_started"


class Verdict(StrEnum):
    """What the leader says about an attempt that a returning worker still holds."""

    ADOPT = "adopt"
    CANCEL = "cancel"
    FORGET = "forget"
    SEND_RESULT = "send_result"


class Command(NamedTuple):
    """Run a program: either one shell line or an argument vector."""

    line: str = ""
    argv: tuple[str, ...] = ()


class Script(NamedTuple):
    """Run a text as a program."""

    text: str
    interpreter: str = ""


class FunctionCall(NamedTuple):
    """Call a registered function."""

    name: str
    # One JSON object; empty means that the params are the arguments.
    arguments_json: str = ""


# None is a kind of work that this worker is too old to know.
Call = Command | Script | FunctionCall | None


class Lease(NamedTuple):
    """The right to run one attempt, with all that it needs."""

    fence: int
    execution_id: str
    attempt: int
    namespace: str
    workspace: str
    job: str
    delivery: Delivery
    call: Call
    scheduled_for: int | None = None
    timeout_seconds: float | None = None
    signal: str = DEFAULT_SIGNAL
    grace_seconds: float = DEFAULT_GRACE_SECONDS
    output_limit: int = DEFAULT_OUTPUT_LIMIT
    traceparent: str = ""
    params: Mapping[str, str] = NO_VALUES
    # For processes.
    environment: Mapping[str, str] = NO_VALUES
    working_dir: str = ""
    stdin: bytes = b""
    # How long it may print nothing.
    silence_seconds: float | None = None


class Usage(NamedTuple):
    """What the operating system counted for the process tree."""

    cpu_user: int
    cpu_system: int
    peak_memory_bytes: int


class SignalSent(NamedTuple):
    """One rung of the cancel ladder."""

    signal: str
    sent_at: int
    processes: int


class Receipt(NamedTuple):
    """What was done to end a process tree that did not end by itself."""

    signals: tuple[SignalSent, ...] = ()
    survivors: tuple[str, ...] = ()
    output_leaked: bool = False


class Result(NamedTuple):
    """How an attempt ended, complete: what is journaled and what is reported."""

    outcome: Outcome
    started_at: int
    finished_at: int
    exit_code: int | None = None
    signal: str = ""
    # One line; empty where all went well.
    error: str = ""
    result_json: str = ""
    output_bytes: int = 0
    output_dropped: int = 0
    usage: Usage | None = None
    receipt: Receipt | None = None


class Progress(NamedTuple):
    """How far an attempt says it is."""

    at: int
    fraction: float
    message: str


class ReportKind(StrEnum):
    """What can be told about an attempt."""

    STARTING = "starting"
    STARTED = "started"
    PROGRESS = "progress"
    FINISHED = "finished"


def in_utf8(text: str) -> str:
    """Return a text that every string field of the contract can hold.

    What comes from file names and other programs may hold bytes that are no UTF-8.
    """
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
