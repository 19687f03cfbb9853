"""Retries by hand, dead letters and traces over the wire."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from jobs_grpc.v1 import dead_letter_service_pb2 as letters
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from jobs_grpc.v1.worker_service_pb2 import AttemptOutcome
from support.calls import Calls, refused
from support.plane import Plane
from support.scripted_worker import ScriptedWorker

FAILED = AttemptOutcome.ATTEMPT_OUTCOME_FAILED


def selection(**fields: object) -> letters.DeadLetterSelection:
    return letters.DeadLetterSelection(**fields)  # type: ignore[arg-type]


@pytest.fixture
def dead(calls: Calls) -> Any:
    return DeadLetterServiceStub(calls.channel)


async def bury(calls: Calls, worker: ScriptedWorker, name: str = "backup") -> str:
    """Let a job that is tried again at once fail for good; return its execution."""
    id_ = await calls.run(name)
    for code in (3, 4):
        lease = await worker.lease()
        await worker.finish(lease.fence, "failed", exit_code=code)
    ended = await calls.wait(id_)
    assert ended.exit_code == 4
    return id_


async def test_the_attempts_of_an_execution_are_told(calls: Calls) -> None:
    await calls.apply({"name": "backup", "command": "x", "retry": {"delays": [0]}})
    async with ScriptedWorker(calls) as worker:
        id_ = await bury(calls, worker)
        request = pb.GetExecutionRequest(id=id_)
        told = await calls.executions.GetExecution(request)
        assert [(one.attempt, one.outcome, one.exit_code) for one in told.attempts] == [
            (1, "failed", 3),
            (2, "failed", 4),
        ]
        first, second = told.attempts
        assert first.fence < second.fence == told.execution.fence
        assert first.worker == "w1"
        assert first.HasField("leased_at")
        assert told.dead_letter_reason == "retries exhausted"


async def test_a_plain_execution_has_no_list_of_attempts(calls: Calls) -> None:
    await calls.apply({"name": "backup", "command": "x"})
    async with ScriptedWorker(calls) as worker:
        id_ = await calls.run()
        await worker.run("failed")
        await calls.wait(id_)
        request = pb.GetExecutionRequest(id=id_)
        told = await calls.executions.GetExecution(request)
        assert (list(told.attempts), list(told.links)) == ([], [])
        assert told.dead_letter_reason == ""


async def test_a_trace_is_told_in_order(calls: Calls) -> None:
    await calls.apply({"name": "backup", "command": "x", "retry": {"delays": [0]}})
    async with ScriptedWorker(calls) as worker:
        id_ = await bury(calls, worker)
        trace = await calls.executions.TraceExecution(pb.TraceExecutionRequest(id=id_))
        kinds = [one.kind for one in trace.entries]
        assert trace.execution_id == id_
        # The worker's clock of this test stands still, long ago.
        assert sorted(kinds) == sorted(
            [
                *("created", "leased", "started", "ended", "retry_scheduled"),
                *("leased", "started", "ended", "outcome", "dead_lettered"),
            ]
        )


async def test_a_retry_by_hand(calls: Calls) -> None:
    await calls.apply({"name": "backup", "command": "x"})
    async with ScriptedWorker(calls) as worker:
        id_ = await calls.run()
        retry = pb.RetryExecutionRequest(id=id_, request_id="r1")
        refusal = await refused(
            calls.executions.RetryExecution(retry),
            "NOT_RETRYABLE",
            code=grpc.StatusCode.FAILED_PRECONDITION,
        )
        assert "has not ended" in refusal.message
        await worker.run("failed")
        await calls.wait(id_)
        made = await calls.executions.RetryExecution(retry)
        again = await calls.executions.RetryExecution(retry)
        assert made.execution_id == again.execution_id != id_
        assert made.retry_of == id_
        await worker.run("succeeded")
        await calls.wait(made.execution_id)
        retry = pb.RetryExecutionRequest(id=made.execution_id)
        refusal = await refused(calls.executions.RetryExecution(retry), "NOT_RETRYABLE")
        assert "succeeded" in refusal.message
        assert "jobs-grpc run backup" in refusal.hint


async def test_a_retry_of_a_deleted_job_runs_its_last_document(calls: Calls) -> None:
    from jobs_grpc.v1 import job_service_pb2

    await calls.apply({"name": "backup", "command": "kept"})
    async with ScriptedWorker(calls) as worker:
        id_ = await calls.run()
        await worker.run("failed")
        await calls.wait(id_)
        ref = job_service_pb2.JobRef(name="backup")
        await calls.jobs.DeleteJob(job_service_pb2.DeleteJobRequest(job=ref))
        await calls.executions.RetryExecution(pb.RetryExecutionRequest(id=id_))
        assert (await worker.lease()).work.command.line == "kept"


async def test_dead_letters_are_listed_requeued_and_purged(
    calls: Calls, dead: Any
) -> None:
    for name in ("a", "b"):
        await calls.apply({"name": name, "command": "x", "retry": {"delays": [0]}})
    async with ScriptedWorker(calls) as worker:
        ids = [await bury(calls, worker, name) for name in ("a", "b", "a")]
        listed = await dead.ListDeadLetters(letters.ListDeadLettersRequest(page_size=2))
        assert [one.execution_id for one in listed.dead_letters] == ids[:0:-1]
        rest = await dead.ListDeadLetters(
            letters.ListDeadLettersRequest(page_token=listed.next_page_token)
        )
        assert [one.execution_id for one in rest.dead_letters] == ids[:1]
        one = (
            await dead.GetDeadLetter(letters.GetDeadLetterRequest(execution_id=ids[1]))
        ).dead_letter
        assert (one.job, one.attempts, one.reason) == ("b", 2, "retries exhausted")

        requeued = await dead.RequeueDeadLetters(
            letters.RequeueDeadLettersRequest(selection=selection(job="a"))
        )
        assert {one.origin_id for one in requeued.requeued} == {ids[0], ids[2]}
        assert not requeued.has_more
        for lease in await worker.leases(1):
            await worker.finish(lease.fence)
        for lease in await worker.leases(1):
            await worker.finish(lease.fence)
        for made in requeued.requeued:
            assert (await calls.wait(made.execution_id)).worker == "w1"

        purged = await dead.PurgeDeadLetters(
            letters.PurgeDeadLettersRequest(selection=selection(all=True))
        )
        assert purged.purged == 1
        left = await dead.ListDeadLetters(letters.ListDeadLettersRequest())
        assert list(left.dead_letters) == []
        assert await calls.state(ids[1]) == "failed"


async def test_nobody_purges_everything_by_accident(
    calls: Calls, dead: Any, plane: Plane
) -> None:
    for call, request in (
        (dead.PurgeDeadLetters, letters.PurgeDeadLettersRequest()),
        (dead.RequeueDeadLetters, letters.RequeueDeadLettersRequest()),
    ):
        await refused(call(request), "INVALID_ARGUMENT")


async def test_what_is_no_dead_letter_is_not_found(calls: Calls, dead: Any) -> None:
    await calls.apply({"name": "backup", "command": "x"})
    id_ = await calls.run()
    refusal = await refused(
        dead.GetDeadLetter(letters.GetDeadLetterRequest(execution_id=id_)),
        "EXECUTION_NOT_FOUND",
        code=grpc.StatusCode.NOT_FOUND,
    )
    assert "is no dead letter" in refusal.message
