"""From the keeper's exit record to what is reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobs_grpc.worker.keeper.attempt import SILENT
from jobs_grpc.worker.keeper.record import ExitRecord
from jobs_grpc.worker.keeper.record import Outcome as Ending
from jobs_grpc.worker.keeper.record import Receipt as Proof
from jobs_grpc.worker.work import Outcome, Receipt, Result, SignalSent, Usage, in_utf8

OUTCOMES: Final[Mapping[Ending, Outcome]] = {
    Ending.EXITED: Outcome.SUCCEEDED,
    Ending.SIGNALED: Outcome.FAILED,
    Ending.TIMED_OUT: Outcome.TIMED_OUT,
    Ending.CANCELLED: Outcome.CANCELLED,
    Ending.START_FAILED: Outcome.FAILED,
    Ending.LOST: Outcome.LOST,
}


def result_of(record: ExitRecord, *, timeout_seconds: float | None = None) -> Result:
    """Return the result that an exit record stands for."""
    outcome = OUTCOMES[record.outcome]
    if record.outcome is Ending.EXITED and record.exit_code:
        outcome = Outcome.FAILED
    return Result(
        outcome,
        record.started_at_us or 0,
        record.finished_at_us,
        exit_code=record.exit_code,
        signal=record.signal or "",
        error=in_utf8(_in_words(record, timeout_seconds)),
        output_bytes=record.output_bytes,
        output_dropped=record.output_dropped,
        usage=Usage(record.cpu_user_us, record.cpu_system_us, record.peak_memory_bytes),
        receipt=_receipt(record.receipt),
    )


def _in_words(record: ExitRecord, timeout_seconds: float | None) -> str:
    match record.outcome:
        case Ending.EXITED:
            code = record.exit_code
            return f"exited with code {code}" if code else ""
        case Ending.SIGNALED:
            return f"ended by signal {record.signal}"
        case Ending.TIMED_OUT if (record.reason or "").startswith(SILENT):
            return record.reason or ""
        case Ending.TIMED_OUT if timeout_seconds is not None:
            return f"timed out after {timeout_seconds:g}s"
        case Ending.TIMED_OUT:
            return record.reason or "timed out"
        case Ending.CANCELLED:
            return record.reason or "cancelled"
        case Ending.START_FAILED:
            return record.error or "the process could not be started"
        case Ending.LOST:
            return record.error or "the keeper of the process was lost"


def _receipt(proof: Proof) -> Receipt | None:
    if proof == Proof():
        return None
    return Receipt(
        tuple(
            SignalSent(sent.signal, sent.sent_at_us, sent.processes)
            for sent in proof.signals
        ),
        tuple(in_utf8(f"{one.name} ({one.pid})") for one in proof.survivors),
        proof.output_leaked,
    )
