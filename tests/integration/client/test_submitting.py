"""Creating executions and applying definitions in bulk."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest

from jobs_grpc.client import ApplyOutcome, Client, InvalidArgument, Submission
from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.v1.execution_service_pb2 import SubmitExecutionsResponse
from jobs_grpc.v1.job_service_pb2 import (
    APPLY_OUTCOME_CREATED,
    ApplyJobsResponse,
    JobRef,
)
from support.client_messages import ID
from support.fake_control_plane import CUT, FakeControlPlane, refusal

no_pause = partial(Backoff, initial=0.001, cap=0.001)


def ids(first: int, count: int) -> SubmitExecutionsResponse:
    return SubmitExecutionsResponse(
        execution_ids=[str(n) for n in range(first, first + count)]
    )


def applied(count: int) -> ApplyJobsResponse:
    one = ApplyJobsResponse.Result(job=JobRef(name="x"), outcome=APPLY_OUTCOME_CREATED)
    return ApplyJobsResponse(results=[one] * count)


async def test_a_run_returns_a_handle_of_the_new_execution() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SubmitExecutionsResponse(execution_ids=[ID]))
        async with Client(server.address, workspace="my-app") as client:
            handle = await client.jobs.run("backup", params={"n": 3, "s": "x"})
    assert handle.id == ID
    request = server.requests[0]
    assert request.workspace == "my-app"
    assert request.submissions[0].job == "backup"
    assert dict(request.submissions[0].params) == {"n": "3", "s": "x"}


async def test_a_batch_travels_a_thousand_at_a_time_and_keeps_its_order() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", ids(0, 1000))
        server.expect("SubmitExecutions", ids(1000, 1000))
        server.expect("SubmitExecutions", ids(2000, 500))
        async with Client(server.address) as client:
            answer = await client.submit(["backup"] * 2500)
    assert answer == [str(n) for n in range(2500)]
    assert [len(one.submissions) for one in server.requests] == [1000, 1000, 500]


async def test_every_submission_gets_an_id_of_its_own_so_that_it_can_be_repeated() -> (
    None
):
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("SubmitExecutions", CUT)
        server.expect("SubmitExecutions", ids(0, 3))
        async with Client.connect(server.address, backoff=no_pause) as client:
            await client.submit(["a", Submission.stored("b", request_id="mine"), "c"])
    first, second = server.requests[1:]
    minted = [one.request_id for one in first.submissions]
    assert minted == [one.request_id for one in second.submissions]
    assert minted[1] == "mine"
    assert len(set(minted)) == 3


async def test_without_retry_no_ids_are_minted() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", ids(0, 1))
        async with Client(server.address, retry=False) as client:
            await client.submit(["a"])
    assert server.requests[0].submissions[0].request_id == ""


async def test_functions_and_commands_travel_as_documents() -> None:
    at = datetime(2027, 1, 15, 12, tzinfo=UTC)
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", ids(0, 2))
        async with Client(server.address) as client:
            await client.submit(
                [
                    Submission.function("resize", {"width": 3, "tags": ["a"]}),
                    Submission.command(["echo", "x"], name="hi", not_before=at),
                ]
            )
    function, command = server.requests[0].submissions
    assert function.document_json == (
        '{"name":"resize","function":"resize",'
        '"params":{"width":{"type":"integer"},"tags":{"type":"json"}}}'
    )
    assert dict(function.params) == {"width": "3", "tags": '["a"]'}
    assert command.document_json == '{"name":"hi","command":["echo","x"]}'
    assert command.not_before.ToJsonString() == "2027-01-15T12:00:00Z"


async def test_a_submission_without_a_subject_is_refused_here() -> None:
    with FakeControlPlane() as server:
        async with Client(server.address) as client:
            with pytest.raises(InvalidArgument, match="names a job or has a document"):
                await client.submit([Submission()])


async def test_a_refused_batch_is_one_plain_exception() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", refusal("INVALID_ARGUMENT", "no such param"))
        async with Client(server.address) as client:
            with pytest.raises(InvalidArgument, match="no such param"):
                await client.submit(["a"])


async def test_one_apply_call_needs_no_rehearsal() -> None:
    with FakeControlPlane() as server:
        server.expect("ApplyJobs", applied(2))
        async with Client(server.address) as client:
            results = await client.jobs.apply([{"name": "a"}, '{"name":"b"}'])
    assert [one.outcome for one in results] == [ApplyOutcome.CREATED] * 2
    assert not server.requests[0].validate_only


async def test_a_large_apply_is_checked_whole_before_anything_changes() -> None:
    documents = [{"name": f"job-{n}"} for n in range(1200)]
    with FakeControlPlane() as server:
        for size in (500, 500, 200) * 2:
            server.expect("ApplyJobs", applied(size))
        async with Client(server.address) as client:
            results = await client.jobs.apply(documents)
    assert len(results) == 1200
    assert [one.validate_only for one in server.requests] == [True] * 3 + [False] * 3


async def test_a_large_apply_with_a_bad_document_changes_nothing() -> None:
    documents = [{"name": f"job-{n}"} for n in range(600)]
    with FakeControlPlane() as server:
        server.expect("ApplyJobs", applied(500))
        server.expect("ApplyJobs", refusal("JOB_INVALID", "1 problem"))
        async with Client(server.address) as client:
            with pytest.raises(InvalidArgument):
                await client.jobs.apply(documents)
    assert all(one.validate_only for one in server.requests)


async def test_a_call_never_grows_over_the_message_limit() -> None:
    documents = [{"name": f"job-{n}", "script": "x" * 1_000_000} for n in range(3)]
    with FakeControlPlane() as server:
        for size in (2, 1) * 2:
            server.expect("ApplyJobs", applied(size))
        async with Client(server.address) as client:
            await client.jobs.apply(documents)


async def test_the_advice_of_an_overloaded_server_is_taken() -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect(
            "SubmitExecutions", refusal("OVERLOADED", "too much", retry_after=0.2)
        )
        server.expect("SubmitExecutions", ids(0, 1))
        async with Client.connect(server.address, backoff=no_pause) as client:
            loop = asyncio.get_running_loop()
            began = loop.time()
            await client.submit(["a"])
            assert loop.time() - began >= 0.2
    first, second = server.requests[1:]
    assert first.submissions[0].request_id == second.submissions[0].request_id
