"""The daemon's log: one line when a process attempt starts, one when it ends.

Lines of functions are on DEBUG: at thousands of attempts a second they would cost more
than the functions. Every line of an attempt names the job and the execution.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Final, TextIO

from jobs_grpc.worker.attempts.attempt import Attempt

FORMATS: Final = ("console", "json")
LEVELS: Final = ("debug", "info", "warning", "error")

_attempts: Final = logging.getLogger("jobs_grpc.worker.attempt")


def setup(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Send the log to `stream` (standard error), in one of the `FORMATS`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = _Json() if log_format == "json" else _Console()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # None of the formats names a thread, a process or a line of code; looking for them
    # is half of what a line costs (see "Optimization" in the HOWTO of `logging`).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    # gRPC's own logger speaks of normal reconnects as errors.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)


def attempt_started(attempt: Attempt) -> None:
    """The work of an attempt has begun."""
    level = logging.DEBUG if attempt.is_function else logging.INFO
    if _attempts.isEnabledFor(level):
        _write(level, attempt, "started", pid=attempt.pid)


def attempt_ended(attempt: Attempt) -> None:
    """An attempt has ended."""
    level = logging.DEBUG if attempt.is_function else logging.INFO
    if not _attempts.isEnabledFor(level):
        return
    result = attempt.result
    assert result is not None
    facts: dict[str, object] = {}
    if result.started_at:
        facts["seconds"] = round((result.finished_at - result.started_at) / 1e6, 3)
    if result.exit_code is not None:
        facts["exit_code"] = result.exit_code
    if result.signal:
        facts["signal"] = result.signal
    if result.error:
        facts["error"] = result.error
    _write(level, attempt, result.outcome.value, **facts)


def _write(level: int, attempt: Attempt, event: str, **facts: object) -> None:
    """Write a line that is whole by itself, whatever formats it in the end."""
    ticket = attempt.ticket
    words = [
        f"JOB {ticket.job} execution={ticket.execution_id} attempt={ticket.attempt}",
        event,
        *(f"{name}={_quoted(value)}" for name, value in facts.items()),
    ]
    extra = {
        "job": ticket.job,
        "execution_id": ticket.execution_id,
        "attempt": ticket.attempt,
        "event": event,
        "facts": facts,
    }
    _attempts.log(level, " ".join(words), extra=extra)


class _Console(logging.Formatter):
    """`12:30:01.250 INFO JOB backup execution=… attempt=1 succeeded seconds=0.2`."""

    # Two lines for each process attempt: the clock is put into words once a second.
    _second = -1
    _clock = ""

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._clock = time.strftime("%H:%M:%S", time.localtime(second))
        line = (
            f"{self._clock}.{int(record.msecs):03} {record.levelname}"
            f" {record.getMessage()}"
        )
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Json(logging.Formatter):
    """One JSON object a line, with stable keys."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        job = getattr(record, "job", None)
        if job is not None:
            line["message"] = f"JOB {job} {getattr(record, 'event', '')}"
            for name in ("job", "execution_id", "attempt"):
                line[name] = getattr(record, name, None)
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _quoted(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and not {" ", '"'} & set(text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def without_uvloop() -> None:
    """The worker runs on the slower loop."""
    logging.getLogger(__name__).warning(
        "uvloop is not installed, so this worker is slower than it could be; "
        "pip install 'jobs-grpc[worker]' brings it"
    )
