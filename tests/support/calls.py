"""The services of a control plane as a test calls them, with the contract's messages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Sequence
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jobs_grpc.v1 import execution_pb2, job_pb2, system_service_pb2
from jobs_grpc.v1 import execution_service_pb2 as executions
from jobs_grpc.v1 import job_service_pb2 as jobs
from jobs_grpc.v1.breaker_service_pb2_grpc import BreakerServiceStub
from jobs_grpc.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from jobs_grpc.v1.error_pb2 import ErrorReason
from jobs_grpc.v1.execution_service_pb2_grpc import ExecutionServiceStub
from jobs_grpc.v1.fleet_service_pb2_grpc import FleetServiceStub
from jobs_grpc.v1.job_service_pb2_grpc import JobServiceStub
from jobs_grpc.v1.pause_service_pb2_grpc import PauseServiceStub
from jobs_grpc.v1.queue_service_pb2_grpc import QueueServiceStub
from jobs_grpc.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from jobs_grpc.v1.system_service_pb2_grpc import SystemServiceStub
from jobs_grpc.v1.worker_service_pb2_grpc import WorkerServiceStub
from jobs_grpc.wire.channel import CLIENT_OPTIONS
from jobs_grpc.wire.refusal import Refusal, from_error
from jobs_grpc.wire.states import STATE_WORDS
from jobs_grpc.wire.time import duration


class Calls:
    """Stubs over one channel, and the calls that most tests need."""

    def __init__(self, address: str) -> None:
        self.channel = aio.insecure_channel(address, options=list(CLIENT_OPTIONS))
        self.jobs: Any = JobServiceStub(self.channel)
        self.executions: Any = ExecutionServiceStub(self.channel)
        self.schedules: Any = ScheduleServiceStub(self.channel)
        self.pauses: Any = PauseServiceStub(self.channel)
        self.queues: Any = QueueServiceStub(self.channel)
        self.fleet: Any = FleetServiceStub(self.channel)
        self.breakers: Any = BreakerServiceStub(self.channel)
        self.dead_letters: Any = DeadLetterServiceStub(self.channel)
        self.system: Any = SystemServiceStub(self.channel)
        self.workers: Any = WorkerServiceStub(self.channel)
        self.health: Any = health_pb2_grpc.HealthStub(self.channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        await self.channel.close()

    async def apply(
        self, *documents: dict[str, Any] | str, namespace: str = "", **fields: Any
    ) -> jobs.ApplyJobsResponse:
        request = jobs.ApplyJobsRequest(
            namespace=namespace,
            documents=[
                jobs.JobDocument(json=one if isinstance(one, str) else json.dumps(one))
                for one in documents
            ],
            **fields,
        )
        answer: jobs.ApplyJobsResponse = await self.jobs.ApplyJobs(request)
        return answer

    async def job(self, name: str, **ref: str) -> job_pb2.Job:
        request = jobs.GetJobRequest(job=jobs.JobRef(name=name, **ref))
        answer: jobs.GetJobResponse = await self.jobs.GetJob(request)
        return answer.job

    async def submit(
        self, *submissions: executions.Submission, namespace: str = "", **fields: Any
    ) -> list[str]:
        request = executions.SubmitExecutionsRequest(
            namespace=namespace, submissions=submissions, **fields
        )
        answer = await self.executions.SubmitExecutions(request)
        return list(answer.execution_ids)

    async def run(self, name: str = "backup", **fields: Any) -> str:
        """Submit one execution of a stored job."""
        (id_,) = await self.submit(executions.Submission(job=name, **fields))
        return id_

    async def execution(
        self, id_: str, *, namespace: str = ""
    ) -> execution_pb2.Execution:
        request = executions.GetExecutionRequest(id=id_, namespace=namespace)
        answer: executions.GetExecutionResponse = await self.executions.GetExecution(
            request
        )
        return answer.execution

    async def state(self, id_: str) -> str:
        return STATE_WORDS[(await self.execution(id_)).state]

    async def wait(self, id_: str, seconds: float = 10.0) -> execution_pb2.Execution:
        request = executions.WaitExecutionRequest(
            id=id_, timeout=duration(round(seconds * 1_000_000))
        )
        answer: executions.WaitExecutionResponse = await self.executions.WaitExecution(
            request
        )
        return answer.execution

    async def cancel(self, **subject: str) -> list[str]:
        request = executions.CancelExecutionsRequest(**subject)
        answer = await self.executions.CancelExecutions(request)
        return list(answer.execution_ids)

    async def info(self) -> system_service_pb2.GetInfoResponse:
        answer: system_service_pb2.GetInfoResponse = await self.system.GetInfo(
            system_service_pb2.GetInfoRequest()
        )
        return answer

    async def is_serving(self) -> bool:
        answer = await self.health.Check(health_pb2.HealthCheckRequest())
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def refused(
    call: Awaitable[object], reason: str, *, code: grpc.StatusCode | None = None
) -> Refusal:
    """Await a call that must be refused for `reason`; return what was said."""
    with pytest.raises(aio.AioRpcError) as error:
        await call
    refusal = from_error(error.value)
    assert ErrorReason.Name(refusal.reason) == f"ERROR_REASON_{reason}", refusal
    assert refusal.message
    assert refusal.request_id
    if code is not None:
        assert refusal.code is code
    return refusal


def fields_of(refusal: Refusal) -> Sequence[str]:
    return [violation.field for violation in refusal.violations]
