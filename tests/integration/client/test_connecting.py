"""Reaching a control plane, and being told why it cannot be reached."""

from __future__ import annotations

import socket
from functools import partial

import pytest

from jobs_grpc.client import (
    Client,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    NotRunning,
    Overloaded,
    ServerError,
    Unavailable,
)
from jobs_grpc.runtime.backoff import Backoff
from jobs_grpc.wire.refusal import Violation
from support.client_messages import got_job
from support.fake_control_plane import CUT, HANG, FakeControlPlane, refusal
from support.web_server import web_server

no_pause = partial(Backoff, initial=0.001, cap=0.001)


async def test_a_client_can_be_entered_or_awaited() -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        async with Client.connect(server.address) as client:
            assert client.target.address == server.address
        server.expect_hello()
        client = await Client.connect(server.address)
        await client.close()


async def test_every_call_carries_a_request_id_and_the_user() -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        async with Client.connect(server.address):
            pass
    assert len(server.metadata[0]["x-request-id"]) == 32
    assert server.metadata[0]["x-jobs-grpc-user"]


async def test_an_unreachable_server_is_said_at_once_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        Unavailable, match=f"127.0.0.1:{port}: connection refused"
    ) as caught:
        await Client.connect(f"127.0.0.1:{port}")
    assert "jobs-grpc dev" in caught.value.hint
    assert caught.value.code == "UNAVAILABLE"


async def test_a_port_that_speaks_http_is_named_as_such() -> None:
    not_grpc = pytest.raises(Unavailable, match="does not speak gRPC")
    with web_server() as port, not_grpc as caught:
        await Client.connect(f"127.0.0.1:{port}")
    assert "web server" in caught.value.hint


async def test_a_server_that_never_answers_is_a_deadline() -> None:
    with FakeControlPlane() as server:
        server.expect("GetInfo", HANG)
        with pytest.raises(DeadlineExceeded, match="no answer") as caught:
            await Client.connect(server.address, timeout=0.05)
    assert isinstance(caught.value, TimeoutError)


async def test_an_address_with_a_scheme_is_refused_before_any_call() -> None:
    with pytest.raises(InvalidArgument, match="has a scheme"):
        await Client.connect("http://127.0.0.1:7420")


async def test_a_call_that_may_be_repeated_outlives_a_short_outage() -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("GetJob", CUT)
        server.expect("GetJob", refusal("NOT_LEADING", "this process does not lead"))
        server.expect("GetJob", refusal("OVERLOADED", "the inbox is full"))
        server.expect("GetJob", got_job())
        async with Client.connect(server.address, backoff=no_pause) as client:
            assert (await client.jobs.get("backup")).name == "backup"


async def test_without_retry_the_first_failure_is_the_answer() -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("GetJob", refusal("OVERLOADED", "the inbox is full"))
        async with Client.connect(server.address, retry=False) as client:
            with pytest.raises(Overloaded):
                await client.jobs.get("backup")


async def test_a_cancel_is_never_repeated() -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("CancelExecutions", CUT)
        async with Client.connect(server.address, backoff=no_pause) as client:
            with pytest.raises(Unavailable):
                await client.executions.cancel_job("backup")


async def test_a_refusal_arrives_with_all_that_the_server_said() -> None:
    said = refusal(
        "JOB_NOT_FOUND",
        'job "bakup" not found',
        hint='did you mean "backup"?',
        request_id="abc",
        metadata={"job": "bakup"},
    )
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("GetJob", said)
        async with Client.connect(server.address) as client:
            with pytest.raises(NotFound) as caught:
                await client.jobs.get("bakup")
    problem = caught.value
    assert str(problem) == 'job "bakup" not found'
    assert (problem.code, problem.reason) == ("NOT_FOUND", "JOB_NOT_FOUND")
    assert problem.hint == 'did you mean "backup"?'
    assert problem.request_id == "abc"
    assert problem.details == {"job": "bakup"}


async def test_violations_name_the_document_they_belong_to() -> None:
    said = refusal(
        "JOB_INVALID",
        "1 problem",
        violations=(Violation("documents[1].queue", 'unknown queue "fast"'),),
    )
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("ApplyJobs", said)
        async with Client.connect(server.address) as client:
            with pytest.raises(InvalidArgument) as caught:
                await client.jobs.apply(
                    [{"name": "a"}, {"name": "b"}], origins=["a.json", "b.json"]
                )
    assert caught.value.violations[0].field == "b.json: queue"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (refusal("NOT_RUNNING", "not running"), NotRunning),
        (refusal("INTERNAL", "oops"), ServerError),
    ],
)
async def test_reasons_become_exceptions(
    said: object, expected: type[Exception]
) -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("CancelExecutions", said)  # type: ignore[arg-type]
        async with Client.connect(server.address) as client:
            with pytest.raises(expected):
                await client.executions.cancel("0b5c")
