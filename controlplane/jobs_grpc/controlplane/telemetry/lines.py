"""Facts as log lines: one line a fact, console or JSON.

Every line of a run begins with `JOB <name>` and carries the execution's id, so that
`grep "JOB nightly-backup"` tells a job's story. The lines of one step are written with
one call: at thousands of executions a second a call for each would be what the server
does all day.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from jobs_grpc.controlplane.core.decisions.pausing import AUTOMATIC, describe
from jobs_grpc.controlplane.core.state.effects import (
    BackfillMoved,
    BreakerMoved,
    DueTimeSkipped,
    ExecutionFinished,
    ExecutionLeased,
    ExecutionReleased,
    ExecutionRetried,
    ExecutionStarted,
    Fact,
    JobApplied,
    JobDeleted,
    PauseBegan,
    PauseEnded,
    ReportRefused,
    SessionClosed,
    SessionDisconnected,
    SessionEnded,
    SessionOpened,
    TimeZonesChanged,
    WorkerTended,
)
from jobs_grpc.controlplane.core.state.job import STANDALONE, JobKey
from jobs_grpc.controlplane.core.state.pauses import PauseKind, Scope
from jobs_grpc.controlplane.core.state.states import FAILURES, State
from jobs_grpc.schedule import format_instant

log = logging.getLogger(__name__)

# Reasons that somebody has asked for; no news.
_ASKED_FOR: Final = frozenset({"disabled", "paused"})
# What a line says: level, text, execution id, further fields.
Line = tuple[int, str, str, Mapping[str, Any]]


_LEVELS: Final = {
    level: logging.getLevelName(level)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
}


def _name(key: JobKey) -> str:
    _, workspace, name = key
    return name if workspace == STANDALONE else f"{workspace}/{name}"


def _started(fact: ExecutionStarted) -> Line:
    execution = fact.execution
    text = f"JOB {_name(execution.spec.key)}: started on {fact.worker}"
    return logging.INFO, text, execution.id, {"attempt": fact.attempt}


def _finished(fact: ExecutionFinished) -> Line:
    execution, result = fact.execution, fact.result
    level = logging.WARNING if fact.state in FAILURES else logging.INFO
    text = f"JOB {_name(execution.spec.key)}: {fact.state.value}"
    if fact.started_at is not None:
        seconds = (result.finished_at - fact.started_at) / 1_000_000
        text += f" in {seconds:.3f}s"
    if result.error and fact.state is not State.SUCCEEDED:
        text += f": {result.error}"
    return level, text, execution.id, {"exit_code": result.exit_code}


def _skipped(fact: DueTimeSkipped) -> Line:
    text = f"JOB {_name(fact.key)}: due time skipped ({fact.reason})"
    level = logging.DEBUG if fact.reason in _ASKED_FOR else logging.INFO
    return level, text, fact.holder, {"due_at": format_instant(fact.due_at)}


def _zones_changed(fact: TimeZonesChanged) -> Line:
    text = (
        f"time zone data {fact.before} -> {fact.after}: the due times of"
        f" {fact.schedules} schedules are computed anew"
    )
    return logging.WARNING, text, "", {}


def _subject(scope: Scope) -> str:
    if scope.kind is PauseKind.JOB:
        return f"JOB {_name(scope.job_key)}"
    return describe(scope)


def _pause_began(fact: PauseBegan) -> Line:
    pause = fact.pause
    text = f"{_subject(pause.scope)}: paused by {pause.who}"
    if pause.note:
        text += f": {pause.note}"
    by_itself = pause.who == AUTOMATIC
    level = logging.WARNING if by_itself else logging.INFO
    until = None if pause.until is None else format_instant(pause.until)
    return level, text, "", {"pause": pause.id, "until": until}


def _pause_ended(fact: PauseEnded) -> Line:
    how = f"by {fact.who}" if fact.who else "its time is up"
    text = f"{_subject(fact.pause.scope)}: resumed ({how})"
    return logging.INFO, text, "", {"pause": fact.pause.id}


def _backfill(fact: BackfillMoved) -> Line:
    text = f"JOB {_name(fact.key)}: backfill {fact.outcome}"
    return logging.INFO, text, "", {"backfill": fact.backfill_id}


def _released(fact: ExecutionReleased) -> Line:
    execution = fact.execution
    text = f"JOB {_name(execution.spec.key)}: waits again: {fact.reason}"
    return logging.WARNING, text, execution.id, {"worker": fact.worker}


def _retried(fact: ExecutionRetried) -> Line:
    execution = fact.execution
    text = (
        f"JOB {_name(execution.spec.key)}: attempt {fact.attempt} failed, next in"
        f" {fact.delay / 1_000_000:g}s: {fact.error}"
    )
    return logging.WARNING, text, execution.id, {"worker": fact.worker}


def _applied(fact: JobApplied) -> Line:
    text = f"JOB {_name(fact.key)}: {fact.outcome}"
    return logging.INFO, text, "", {"revision": fact.revision}


def _deleted(fact: JobDeleted) -> Line:
    return logging.INFO, f"JOB {_name(fact.key)}: deleted", "", {}


def _opened(fact: SessionOpened) -> Line:
    how = "back" if fact.resumed else "connected"
    text = f"worker {fact.worker}: {how}, {fact.slots} slots"
    return logging.INFO, text, "", {"session": fact.session_id}


def _disconnected(fact: SessionDisconnected) -> Line:
    text = f"worker {fact.worker}: stream lost, its work goes on"
    return logging.WARNING, text, "", {"session": fact.session_id}


def _ended(fact: SessionEnded) -> Line:
    level = logging.WARNING if fact.leases else logging.INFO
    text = (
        f"worker {fact.worker}: gone ({fact.reason}), {fact.leases} leases taken back"
    )
    return level, text, "", {"session": fact.session_id}


def _tended(fact: WorkerTended) -> Line:
    text = f"worker {fact.worker}: {fact.what}"
    if fact.reason:
        text += f" ({fact.reason})"
    return logging.INFO, text, "", {}


def _breaker_moved(fact: BreakerMoved) -> Line:
    level = logging.WARNING if fact.state == "open" else logging.INFO
    text = f"breaker {fact.name}: {fact.state.replace('_', ' ')}: {fact.reason}"
    fields: dict[str, Any] = {"namespace": fact.namespace or None}
    if fact.until is not None:
        fields["until"] = format_instant(fact.until)
    return level, text, "", fields


def _closed(fact: SessionClosed) -> Line:
    fields = {"session": fact.session_id}
    if fact.reason:
        text = f"worker {fact.worker}: takes no work now: {fact.reason}"
        return logging.WARNING, text, "", fields
    return logging.INFO, f"worker {fact.worker}: takes work again", "", fields


def _refused(fact: ReportRefused) -> Line:
    text = f"a report ({fact.report}) of a stale attempt was refused"
    # Output travels outside of sessions.
    session = fact.session_id or None
    return logging.INFO, text, "", {"fence": fact.fence, "session": session}


# They have no line of their own: another fact tells their story.
SILENT: Final[frozenset[type[Any]]] = frozenset({ExecutionLeased})
DESCRIPTIONS: Final[Mapping[type[Any], Callable[[Any], Line]]] = {
    ExecutionStarted: _started,
    ExecutionFinished: _finished,
    ExecutionReleased: _released,
    ExecutionRetried: _retried,
    DueTimeSkipped: _skipped,
    TimeZonesChanged: _zones_changed,
    PauseBegan: _pause_began,
    PauseEnded: _pause_ended,
    BackfillMoved: _backfill,
    JobApplied: _applied,
    JobDeleted: _deleted,
    SessionOpened: _opened,
    SessionDisconnected: _disconnected,
    SessionEnded: _ended,
    WorkerTended: _tended,
    BreakerMoved: _breaker_moved,
    SessionClosed: _closed,
    ReportRefused: _refused,
}


class EventLog:
    """Writes the lines of facts, those of a step at once."""

    def __init__(
        self, *, json_lines: bool, level: int, to: TextIO | None = None
    ) -> None:
        self._format = _json_line if json_lines else _console_line
        self._level = level
        self._to = to or sys.stderr

    def write(self, facts: Sequence[Fact]) -> None:
        """Write the lines of a step's facts; a fact that cannot be told ends nothing."""
        stamp = _stamp(datetime.now(UTC))
        lines = []
        for fact in facts:
            describe = DESCRIPTIONS.get(type(fact))
            if describe is None:
                continue
            try:
                line = describe(fact)
                if line[0] >= self._level:
                    lines.append(self._format(stamp, line))
            except Exception:
                # What it tells of is committed; the term must not end by telling it.
                log.exception("a %s cannot be told", type(fact).__name__)
        if lines:
            # A log that cannot be written (a full disk) must not end the term.
            with suppress(OSError):
                self._to.write("".join(lines))
                self._to.flush()


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _console_line(stamp: str, line: Line) -> str:
    level, text, execution_id, fields = line
    parts = [f"{stamp} {_LEVELS[level]:7} {text}"]
    if execution_id:
        parts.append(f"execution={execution_id}")
    for key, value in fields.items():
        if value is not None:
            parts.append(f"{key}={value}")
    # One fact is one line, whatever a job's error says.
    return " ".join(parts).replace("\r", "\\r").replace("\n", "\\n") + "\n"


def _json_line(stamp: str, line: Line) -> str:
    level, text, execution_id, fields = line
    record = {"time": stamp, "level": _LEVELS[level].lower(), "message": text}
    if execution_id:
        record["execution"] = execution_id
    return json.dumps({**record, **fields}) + "\n"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _stamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class _ConsoleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = _stamp(datetime.fromtimestamp(record.created, UTC))
        text = f"{stamp} {record.levelname:7} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def configure_logging(*, json_lines: bool, level: int) -> None:
    """Send what is logged outside of facts (the unexpected) the same way."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if json_lines else _ConsoleFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
