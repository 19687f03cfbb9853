"""What travels between workers and leaders: the contract's messages without protobuf.

Also the translations that `rpc/` and `worker/connection/convert.py` make of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from jobs_grpc.controlplane.core.fleet.sessions import SESSION_TTL
from jobs_grpc.controlplane.core.state.effects import LeaseGranted
from jobs_grpc.controlplane.core.state.execution import Result as CoreResult
from jobs_grpc.controlplane.core.state.inputs import (
    Finished,
    Held,
    Reports,
    Started,
    Starting,
)
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.output.records import Chunk, LogKey, Stream
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.outbox import News
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.shipping import Chunk as ShippedChunk
from jobs_grpc.worker.work import (
    Command,
    Delivery,
    Lease,
    Outcome,
    ReportKind,
    Result,
)

SESSION_SECONDS: Final = SESSION_TTL / 1_000_000
HEARTBEAT_SECONDS: Final = SESSION_SECONDS / 3

PHASES: Final = {
    State.LEASED: "leased",
    State.ASKED: "leased",
    State.STARTING: "starting",
    State.RUNNING: "running",
    State.FINISHED: "finished",
    State.ACKNOWLEDGED: "finished",
}
MOVES: Final = {
    Outcome.SUCCEEDED: Move.SUCCEED,
    Outcome.FAILED: Move.FAIL,
    Outcome.TIMED_OUT: Move.TIME_OUT,
    Outcome.CANCELLED: Move.CANCEL,
    Outcome.LOST: Move.LOSE,
    Outcome.NOT_STARTED: Move.CANCEL,
}


# From the worker.


class Hello(NamedTuple):
    worker_id: str
    worker: str
    slots: int
    held: tuple[Held, ...]


class Heartbeat(NamedTuple):
    sequence: int


class Report(NamedTuple):
    kind: ReportKind
    fence: int
    started_at: int
    result: Result | None


class Reported(NamedTuple):
    reports: tuple[Report, ...]


class Goodbye(NamedTuple):
    reason: str


class OutputOpened(NamedTuple):
    """The stream of output, which had ended alone, is opened again."""


class OutputChunk(NamedTuple):
    chunk: ShippedChunk


Said = Hello | Heartbeat | Reported | Goodbye | OutputOpened | OutputChunk


# From the leader.


class Welcome(NamedTuple):
    session_id: str
    term: int
    ttl_seconds: float
    verdicts: Mapping[int, str]


class HeartbeatAck(NamedTuple):
    sequence: int


class Leases(NamedTuple):
    leases: list[Lease]


class Cancels(NamedTuple):
    cancels: Sequence[tuple[int, str]]


class Acks(NamedTuple):
    finished: list[int]
    refused: list[int]
    granted: list[int]


class GoAway(NamedTuple):
    after: float


class OutputAck(NamedTuple):
    fence: int
    offset: int
    is_refused: bool


class OutputBroken(NamedTuple):
    """The stream of output has ended alone; what comes on it is not heard."""


Heard = (
    Welcome | HeartbeatAck | Leases | Cancels | Acks | GoAway | OutputAck | OutputBroken
)


def held_of(attempt: Attempt) -> Held:
    """Return an entry of the inventory."""
    return Held(
        fence=attempt.fence,
        phase=PHASES[attempt.state],
        started_at=attempt.started_at or None,
    )


def lease_of(granted: LeaseGranted) -> Lease:
    """Return the lease as its worker gets it."""
    execution = granted.execution
    spec = execution.spec
    return Lease(
        fence=granted.fence,
        execution_id=execution.id,
        attempt=granted.attempt,
        namespace=spec.namespace,
        workspace=spec.workspace,
        job=spec.name,
        delivery=Delivery(spec.delivery.value),
        call=Command(granted.work.line),
        scheduled_for=execution.scheduled_for,
        timeout_seconds=spec.timeout / 1_000_000,
        signal=spec.cancel_signal,
        grace_seconds=spec.cancel_grace / 1_000_000,
        output_limit=spec.output_limit,
    )


def report_of(news: News) -> Report:
    attempt = news.attempt
    return Report(news.kind, attempt.fence, attempt.started_at, attempt.result)


def reports(session_id: str, message: Reported) -> Reports:
    """Return a batch of reports as an input of the core."""
    found: list[Starting | Started | Finished] = []
    for report in message.reports:
        match report.kind:
            case ReportKind.STARTING:
                found.append(Starting(report.fence))
            case ReportKind.STARTED:
                found.append(Started(report.fence, report.started_at))
            case ReportKind.FINISHED if report.result is not None:
                found.append(Finished(report.fence, _result(report.result)))
            case _:
                pass
    return Reports(session_id, tuple(found))


def _result(result: Result) -> CoreResult:
    return CoreResult(
        MOVES[result.outcome],
        result.finished_at,
        result.started_at or None,
        exit_code=result.exit_code,
        signal=result.signal,
        error=result.error,
        result_json=result.result_json,
        output_bytes=result.output_bytes,
        output_dropped=result.output_dropped,
        never_began=result.outcome is Outcome.NOT_STARTED,
    )


def chunk_of(piece: ShippedChunk) -> Chunk:
    """Return a chunk as the leader takes it, or raise `OutputArgumentError`."""
    return Chunk(
        key=LogKey(piece.execution_id, piece.attempt),
        fence=piece.fence,
        stream=Stream(int(piece.stream)),
        offset=piece.offset,
        time_us=piece.time_us,
        data=piece.data,
        dropped=piece.dropped,
    )
