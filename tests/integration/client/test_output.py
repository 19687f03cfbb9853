"""Following output: no byte twice, none left out, whatever the stream does."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from jobs_grpc.client import (
    Client,
    DeadlineExceeded,
    ExecutionFailed,
    ExecutionState,
    Gap,
    Lagged,
    NotFound,
    OutputEnd,
    OutputPiece,
    OutputStream,
    Unavailable,
)
from jobs_grpc.runtime.backoff import Backoff
from support.client_messages import ID, end, gap, got, lagged, piece, waited
from support.fake_control_plane import CUT, FakeControlPlane, refusal

no_pause = partial(Backoff, initial=0.001, cap=0.001)


async def follow(server: FakeControlPlane, **options: object) -> list[object]:
    async with Client(server.address, backoff=no_pause) as client:
        handle = client.executions.handle(ID)
        return [event async for event in handle.output(**options)]  # type: ignore[arg-type]


def text(events: list[object]) -> bytes:
    return b"".join(one.data for one in events if isinstance(one, OutputPiece))


async def test_output_ends_by_itself_with_the_outcome() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect(
            "FollowOutput", piece(0, b"one\n"), piece(4, b"two\n", "STDERR"), end(8)
        )
        events = await follow(server)
    first, second, last = events
    assert isinstance(first, OutputPiece)
    assert isinstance(second, OutputPiece)
    assert (first.stream, second.stream) == (OutputStream.STDOUT, OutputStream.STDERR)
    assert isinstance(last, OutputEnd)
    assert last.execution.state is ExecutionState.SUCCEEDED


async def test_a_slow_follower_is_told_that_it_lagged_and_gets_everything() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"one"), lagged(3), CUT)
        server.expect("FollowOutput", piece(3, b"two"), end(6))
        events = await follow(server)
    assert [type(one) for one in events] == [
        OutputPiece,
        Lagged,
        OutputPiece,
        OutputEnd,
    ]
    assert events[1] == Lagged(offset=3)
    assert text(events) == b"onetwo"
    assert server.requests[-1].from_offset == 3


async def test_a_cut_stream_goes_on_where_it_broke() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"one"), CUT)
        server.expect("FollowOutput", CUT)
        server.expect("FollowOutput", piece(3, b"two"), end(6))
        events = await follow(server)
    assert text(events) == b"onetwo"
    assert [request.from_offset for request in server.requests[1:]] == [0, 3, 3]


async def test_bytes_that_come_again_are_cut_off() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"abcd"), CUT)
        server.expect(
            "FollowOutput", piece(0, b"ab"), piece(2, b"cdef"), gap(4, 6), end(10)
        )
        events = await follow(server)
    assert text(events) == b"abcdef"
    assert Gap(offset=6, length=4, reason="limit") in events


async def test_a_server_restart_is_endured() -> None:
    with FakeControlPlane() as server:
        arrived = threading.Event()
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"before "), arrived)
        server.expect("FollowOutput", piece(7, b"after"), end(12))
        seen = []
        async with Client(server.address, backoff=no_pause) as client:
            async for event in client.executions.output(ID):
                seen.append(event)
                if len(seen) == 1:
                    server.stop()
                    server.start()
    assert text(list(seen)) == b"before after"


async def test_patience_has_an_end() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"x"), CUT)
        async with Client(server.address, patience=-1) as client:
            with pytest.raises(Unavailable, match="lost the connection"):
                [event async for event in client.executions.output(ID)]


async def test_a_refusal_ends_the_stream_with_its_exception() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", refusal("EXECUTION_NOT_FOUND", "no execution"))
        with pytest.raises(NotFound):
            await follow(server)


async def test_a_server_that_leaves_politely_is_asked_again() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect(
            "FollowOutput", piece(0, b"one"), end(3, "running", complete=False)
        )
        server.expect("FollowOutput", piece(3, b"two"), end(6))
        events = await follow(server)
    assert text(events) == b"onetwo"
    assert sum(isinstance(event, OutputEnd) for event in events) == 1


async def test_a_log_that_stays_incomplete_is_not_awaited_for_ever() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got("lost"))
        server.expect("FollowOutput", piece(0, b"one"), end(3, "lost", complete=False))
        server.expect("FollowOutput", end(3, "lost", complete=False))
        events = await follow(server)
    last = events[-1]
    assert isinstance(last, OutputEnd)
    assert not last.log_complete


async def test_the_next_attempt_is_followed_from_its_beginning() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"first "), end(6, "retrying"))
        server.expect("FollowOutput", piece(0, b"second"), end(6, attempt=2))
        events = await follow(server)
    assert text(events) == b"first second"
    assert [request.attempt for request in server.requests[1:]] == [1, 2]


async def test_what_is_stored_is_read_without_waiting_for_the_end() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(2, b"c"), end(3, "running", complete=False))
        events = await follow(
            server, follow=False, from_offset=2, streams=[OutputStream.STDOUT]
        )
    assert text(events) == b"c"
    request = server.requests[1]
    assert (request.follow, request.from_offset) == (False, 2)
    assert list(request.streams) == [1]


async def test_leaving_the_loop_early_ends_the_call() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"x"), threading.Event())
        async with Client(server.address) as client:
            events = client.executions.output(ID)
            async for _ in events:
                break
            await events.aclose()


async def test_waiting_polls_until_the_end_through_outages() -> None:
    with FakeControlPlane() as server:
        server.expect_hello()
        server.expect("WaitExecution", waited("running"))
        server.expect("WaitExecution", CUT)
        server.expect("WaitExecution", refusal("NOT_LEADING", "not yet"))
        server.expect("WaitExecution", waited("succeeded"))
        async with Client.connect(server.address, backoff=no_pause) as client:
            execution = await client.executions.handle(ID).result()
    assert execution.state is ExecutionState.SUCCEEDED


async def test_a_result_that_is_no_success_is_an_exception_with_the_record() -> None:
    with FakeControlPlane() as server:
        server.expect(
            "WaitExecution", waited("failed", exit_code=3, error="exit status 3")
        )
        async with Client(server.address) as client:
            with pytest.raises(ExecutionFailed, match="exit status 3") as caught:
                await client.executions.handle(ID).result()
    assert caught.value.exit_code == 3
    assert caught.value.execution_id == ID


async def test_a_wait_that_runs_out_says_that_the_execution_goes_on() -> None:
    with FakeControlPlane() as server:
        server.expect("WaitExecution", waited("running"))
        async with Client(server.address) as client:
            with pytest.raises(DeadlineExceeded, match="still running") as caught:
                await client.executions.wait(ID, timeout=0)
    assert "it goes on" in caught.value.hint
