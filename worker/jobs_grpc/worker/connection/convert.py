"""Between the contract's messages and the worker's own records.

Written for speed where it is called for every attempt: fields are set one by one (a
message made from keyword arguments takes three times as long), and empty fields of a
lease are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.v1.execution_pb2 import OutputStream
from jobs_grpc.v1.execution_pb2 import Usage as WireUsage
from jobs_grpc.wire.channel import PROTOCOL_VERSION
from jobs_grpc.wire.time import duration, microseconds, timestamp
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.outbox import News
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.keeper.spool import (
    Stream,
)
from jobs_grpc.worker.shipping import Chunk
from jobs_grpc.worker.work import (
    DEFAULT_GRACE_SECONDS,
    DEFAULT_OUTPUT_LIMIT,
    DEFAULT_SIGNAL,
    NO_VALUES,
    Call,
    Command,
    Delivery,
    FunctionCall,
    Lease,
    Outcome,
    Receipt,
    ReportKind,
    Result,
    Script,
    Usage,
    Verdict,
)

# ASKED has surely not begun, so to the leader it is a lease that was received.
PHASES: Final[Mapping[State, wire.AttemptPhase.ValueType]] = {
    State.LEASED: wire.ATTEMPT_PHASE_LEASED,
    State.ASKED: wire.ATTEMPT_PHASE_LEASED,
    State.STARTING: wire.ATTEMPT_PHASE_STARTING,
    State.RUNNING: wire.ATTEMPT_PHASE_RUNNING,
    State.FINISHED: wire.ATTEMPT_PHASE_FINISHED,
    State.ACKNOWLEDGED: wire.ATTEMPT_PHASE_FINISHED,
}
OUTCOMES: Final[Mapping[Outcome, wire.AttemptOutcome.ValueType]] = {
    Outcome.SUCCEEDED: wire.ATTEMPT_OUTCOME_SUCCEEDED,
    Outcome.FAILED: wire.ATTEMPT_OUTCOME_FAILED,
    Outcome.TIMED_OUT: wire.ATTEMPT_OUTCOME_TIMED_OUT,
    Outcome.CANCELLED: wire.ATTEMPT_OUTCOME_CANCELLED,
    Outcome.LOST: wire.ATTEMPT_OUTCOME_LOST,
    Outcome.NOT_STARTED: wire.ATTEMPT_OUTCOME_NOT_STARTED,
}
STREAMS: Final[Mapping[Stream, OutputStream.ValueType]] = {
    Stream.STDOUT: OutputStream.OUTPUT_STREAM_STDOUT,
    Stream.STDERR: OutputStream.OUTPUT_STREAM_STDERR,
    Stream.SYSTEM: OutputStream.OUTPUT_STREAM_SYSTEM,
}
VERDICTS: Final[Mapping[wire.InventoryVerdict.ValueType, Verdict]] = {
    wire.INVENTORY_VERDICT_ADOPT: Verdict.ADOPT,
    wire.INVENTORY_VERDICT_CANCEL: Verdict.CANCEL,
    wire.INVENTORY_VERDICT_FORGET: Verdict.FORGET,
    wire.INVENTORY_VERDICT_SEND_RESULT: Verdict.SEND_RESULT,
}
# What this worker can do beyond the first version of the contract.
CAPABILITIES: Final[tuple[str, ...]] = ()


class Introduction(NamedTuple):
    """Who a worker is and what it can do, as a hello says it."""

    worker_id: str
    name: str
    labels: Mapping[str, str]
    slots: int
    functions: Sequence[str]
    version: str


class Welcome(NamedTuple):
    """The leader's answer to a hello."""

    session_id: str
    term: int
    heartbeat_seconds: float
    ttl_seconds: float
    protocol: int
    verdicts: Mapping[int, Verdict]


class SessionTimes(NamedTuple):
    """How often to speak, and how long the session outlives silence."""

    heartbeat_seconds: float
    ttl_seconds: float


def hello(
    introduction: Introduction,
    *,
    session_id: str,
    highest_term: int,
    inventory: Iterable[Attempt],
) -> wire.WorkerMessage:
    """Return the first message of a stream."""
    return wire.WorkerMessage(
        hello=wire.Hello(
            worker_id=introduction.worker_id,
            worker_name=introduction.name,
            session_id=session_id,
            protocol_min=PROTOCOL_VERSION,
            protocol_max=PROTOCOL_VERSION,
            labels=introduction.labels,
            slots=introduction.slots,
            functions=introduction.functions,
            inventory=[_entry(attempt) for attempt in inventory],
            highest_term=highest_term,
            version=introduction.version,
            capabilities=CAPABILITIES,
        )
    )


def _entry(attempt: Attempt) -> wire.InventoryEntry:
    started_at = attempt.started_at
    return wire.InventoryEntry(
        fence=attempt.fence,
        execution_id=attempt.ticket.execution_id,
        attempt=attempt.ticket.attempt,
        phase=PHASES[attempt.state],
        started_at=timestamp(started_at) if started_at else None,
    )


def welcome(message: wire.Welcome) -> Welcome:
    """Read a welcome; a verdict that this worker does not know is left out."""
    return Welcome(
        message.session_id,
        message.term,
        microseconds(message.heartbeat_every) / 1e6,
        microseconds(message.session_ttl) / 1e6,
        message.protocol,
        {
            answer.fence: VERDICTS[answer.verdict]
            for answer in message.answers
            if answer.verdict in VERDICTS
        },
    )


def session_times(message: wire.HeartbeatAck) -> SessionTimes | None:
    """Read what an acknowledgment says of the session's times; None if nothing."""
    every = microseconds(message.heartbeat_every) / 1e6
    ttl = microseconds(message.session_ttl) / 1e6
    return SessionTimes(every, ttl) if 0 < every < ttl else None


def lease(message: wire.Lease) -> Lease:
    """Read a lease."""
    work = message.work
    # Without a word about delivery the careful one is meant.
    is_careless = message.delivery == wire.DELIVERY_AT_LEAST_ONCE
    timeout, policy, due = message.timeout, message.cancel, message.scheduled_for
    grace = policy.grace.seconds + policy.grace.nanos / 1e9
    if not grace and not policy.HasField("grace"):
        grace = DEFAULT_GRACE_SECONDS
    call = _call(work)
    params = work.params
    read = Lease(
        message.fence,
        message.execution_id,
        message.attempt,
        message.namespace,
        message.workspace,
        message.job,
        Delivery.AT_LEAST_ONCE if is_careless else Delivery.AT_MOST_ONCE,
        call,
        due.seconds * 1_000_000 + due.nanos // 1_000 or None,
        timeout.seconds + timeout.nanos / 1e9 or None,
        policy.signal or DEFAULT_SIGNAL,
        grace,
        message.output_limit or DEFAULT_OUTPUT_LIMIT,
        message.traceparent,
        dict(params) if params else NO_VALUES,
    )
    if isinstance(call, FunctionCall):
        return read  # what is left is for processes
    silence = message.silence
    return read._replace(
        silence_seconds=silence.seconds + silence.nanos / 1e9 or None,
        environment=dict(work.environment),
        working_dir=work.working_dir,
        stdin=work.stdin,
    )


def _call(work: wire.Work) -> Call:
    match work.WhichOneof("kind"):
        case "function":
            function = work.function
            return FunctionCall(function.name, function.arguments_json)
        case "command":
            return Command(work.command.line, tuple(work.command.argv))
        case "script":
            return Script(work.script.text, work.script.interpreter)
        case _:
            return None


def reports(batch: Iterable[News]) -> wire.WorkerMessage:
    """Return one message with a batch of reports."""
    message = wire.WorkerMessage()
    add = message.reports.reports.add
    for kind, attempt in batch:
        report = add()
        report.fence = attempt.fence
        match kind:
            case ReportKind.FINISHED:
                assert attempt.result is not None
                _finished(report.finished, attempt.result)
            case ReportKind.STARTED:
                _instant(report.started.at, attempt.started_at)
                report.started.pid = attempt.pid
            case ReportKind.STARTING:
                report.starting.SetInParent()
            case ReportKind.PROGRESS:
                if attempt.progress is not None:
                    _instant(report.progress.at, attempt.progress.at)
                    report.progress.fraction = attempt.progress.fraction
                    report.progress.message = attempt.progress.message
    return message


def _finished(message: wire.Finished, result: Result) -> None:
    message.outcome = OUTCOMES[result.outcome]
    if result.started_at:
        _instant(message.started_at, result.started_at)
    _instant(message.finished_at, result.finished_at)
    if result.exit_code is not None:
        message.exit_code = result.exit_code
    if result.signal:
        message.signal = result.signal
    if result.error:
        message.error = result.error
    if result.result_json:
        message.result_json = result.result_json
    if result.output_bytes:
        message.output_bytes = result.output_bytes
    if result.output_dropped:
        message.output_dropped = result.output_dropped
    if result.usage is not None:
        message.usage.CopyFrom(_usage(result.usage))
    if result.receipt is not None:
        _receipt(message, result.receipt)


def _usage(usage: Usage) -> WireUsage:
    return WireUsage(
        cpu_user=duration(usage.cpu_user),
        cpu_system=duration(usage.cpu_system),
        peak_memory_bytes=usage.peak_memory_bytes,
    )


def _receipt(message: wire.Finished, receipt: Receipt) -> None:
    target = message.receipt
    target.output_leaked = receipt.output_leaked
    target.survivors.extend(receipt.survivors)
    for sent in receipt.signals:
        target.signals.add(
            signal=sent.signal,
            sent_at=timestamp(sent.sent_at),
            processes=sent.processes,
        )


def _instant(message: Timestamp, at: int) -> None:
    seconds, rest = divmod(at, 1_000_000)
    message.seconds = seconds
    message.nanos = rest * 1_000


def heartbeat(sequence: int, closed: str = "") -> wire.WorkerMessage:
    """Return a heartbeat; `closed` says why no work is taken."""
    return wire.WorkerMessage(
        heartbeat=wire.Heartbeat(sequence=sequence, closed=closed)
    )


def goodbye(reason: str) -> wire.WorkerMessage:
    """Return the last message of a session that ends on purpose."""
    return wire.WorkerMessage(goodbye=wire.Goodbye(reason=reason))


def chunk(piece: Chunk) -> wire.OutputChunk:
    """Return a piece of output."""
    message = wire.OutputChunk(
        fence=piece.fence,
        execution_id=piece.execution_id,
        attempt=piece.attempt,
        stream=STREAMS[piece.stream],
        offset=piece.offset,
        time=timestamp(piece.time_us),
        data=piece.data,
    )
    if piece.dropped:
        message.dropped_from = piece.dropped.start
        message.dropped_to = piece.dropped.stop
    return message
