"""Messages of the contract as a control plane would send them to a client."""

from __future__ import annotations

from typing import Any

from jobs_grpc.v1 import execution_pb2, job_pb2
from jobs_grpc.v1.execution_service_pb2 import (
    FollowOutputResponse,
    GetExecutionResponse,
    OutputPiece,
    WaitExecutionResponse,
)
from jobs_grpc.v1.job_service_pb2 import GetJobResponse
from jobs_grpc.wire.states import state_from_word
from jobs_grpc.wire.time import timestamp

ID = "0b5c3f0e-8a3c-4f59-9f0e-6b0a5d6f7c11"
NOON = 1_800_014_400_000_000  # 2027-01-15T12:00:00Z


def execution(state: str = "running", **fields: Any) -> execution_pb2.Execution:
    """Return an execution of the job `backup` on its first attempt."""
    usual: dict[str, Any] = {
        "id": ID,
        "namespace": "default",
        "workspace": "_standalone_",
        "job": "backup",
        "state": state_from_word(state),
        "trigger": execution_pb2.TRIGGER_MANUAL,
        "created_at": timestamp(NOON),
        "attempt": 1,
    }
    return execution_pb2.Execution(**{**usual, **fields})


def got(state: str = "running", **fields: Any) -> GetExecutionResponse:
    return GetExecutionResponse(execution=execution(state, **fields))


def waited(state: str = "succeeded", **fields: Any) -> WaitExecutionResponse:
    return WaitExecutionResponse(execution=execution(state, **fields))


def job(name: str = "backup", **fields: Any) -> job_pb2.Job:
    usual: dict[str, Any] = {
        "namespace": "default",
        "workspace": "_standalone_",
        "name": name,
        "revision": 1,
        "type": "command",
        "enabled": True,
        "document_json": f'{{"name":"{name}","command":"true"}}',
    }
    return job_pb2.Job(**{**usual, **fields})


def got_job(name: str = "backup", **fields: Any) -> GetJobResponse:
    return GetJobResponse(job=job(name, **fields))


def piece(offset: int, data: bytes, stream: str = "STDOUT") -> FollowOutputResponse:
    return FollowOutputResponse(
        piece=OutputPiece(
            stream=execution_pb2.OutputStream.Value(f"OUTPUT_STREAM_{stream}"),
            offset=offset,
            data=data,
            time=timestamp(NOON),
        )
    )


def gap(offset: int, length: int, reason: str = "limit") -> FollowOutputResponse:
    return FollowOutputResponse(
        gap=FollowOutputResponse.Gap(offset=offset, length=length, reason=reason)
    )


def lagged(offset: int) -> FollowOutputResponse:
    return FollowOutputResponse(lagged=FollowOutputResponse.Lagged(offset=offset))


def end(
    next_offset: int, state: str = "succeeded", *, complete: bool = True, **fields: Any
) -> FollowOutputResponse:
    return FollowOutputResponse(
        end=FollowOutputResponse.End(
            log_complete=complete,
            next_offset=next_offset,
            execution=execution(state, **fields),
        )
    )
