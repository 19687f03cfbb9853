from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.effects import ReportRefused
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1 import worker_service_pb2 as pb_worker
from jobs_grpc.v1.execution_pb2 import OutputStream
from jobs_grpc.wire.states import STATE_WORDS
from support.calls import Calls, refused
from support.plane import Plane
from support.scripted_worker import OutputPusher, ScriptedWorker
from support.until import until

CHUNK = bytes(range(256)) * 1_000
# 25 MB; windows of gRPC hold some 4 MiB.
CHUNKS = 100


class Follower:
    """A follower that gathers what it is sent."""

    def __init__(self, calls: Calls, id_: str, **fields: Any) -> None:
        request = pb.FollowOutputRequest(execution_id=id_, **{"follow": True, **fields})
        self.data = b""
        self.gaps: list[tuple[int, int]] = []
        self.end: pb.FollowOutputResponse.End | None = None
        self._task = asyncio.create_task(self._follow(calls, request))

    async def _follow(self, calls: Calls, request: pb.FollowOutputRequest) -> None:
        async for message in calls.executions.FollowOutput(request):
            kind = message.WhichOneof("event")
            if kind == "piece":
                self.data += message.piece.data
            elif kind == "gap":
                self.gaps.append((message.gap.offset, message.gap.length))
            elif kind == "end":
                self.end = message.end

    async def until(self, data: bytes) -> None:
        def has_come() -> bool:
            assert data.startswith(self.data)
            return self.data == data

        await until(has_come)

    async def ended(self) -> pb.FollowOutputResponse.End:
        async with asyncio.timeout(10):
            await self._task
        assert self.end is not None
        return self.end


@pytest.fixture(autouse=True)
async def backup(calls: Calls) -> None:
    await calls.apply({"name": "backup", "command": "true"})


async def test_output_is_followed_live_to_its_end_and_read_again_after(
    calls: Calls,
) -> None:
    id_ = await calls.run()
    early = Follower(calls, id_)
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        await worker.start(lease.fence)
        output = OutputPusher(calls)
        assert (await output.push(lease, 0, b"one\n")).offset == 4
        await early.until(b"one\n")
        late = Follower(calls, id_)
        await output.push(lease, 4, b"two\n", stream="stderr")
        for follower in (early, late):
            await follower.until(b"one\ntwo\n")
        assert early.end is None
        await worker.finish(lease.fence, output_bytes=8, exit_code=0)
        await output.close()
    for follower in (
        early,
        late,
        Follower(calls, id_),
        Follower(calls, id_, follow=False),
    ):
        end = await follower.ended()
        assert follower.data == b"one\ntwo\n"
        assert (end.log_complete, end.next_offset) == (True, 8)
        assert STATE_WORDS[end.execution.state] == "succeeded"


async def test_output_is_read_from_an_offset_and_by_stream(calls: Calls) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        output = OutputPusher(calls)
        await output.push(lease, 0, b"out1")
        await output.push(lease, 4, b"err1", stream="stderr")
        await output.push(lease, 8, b"out2")
        await output.close()
        await worker.start(lease.fence)
        await worker.finish(lease.fence, output_bytes=12)
    rest = Follower(calls, id_, from_offset=6)
    await rest.ended()
    assert rest.data == b"r1out2"
    errors = Follower(calls, id_, streams=[OutputStream.OUTPUT_STREAM_STDERR])
    await errors.ended()
    assert errors.data == b"err1"


async def test_a_follower_that_does_not_read_is_told_that_it_lagged_and_misses_nothing(
    calls: Calls,
) -> None:
    """More is written than fits into gRPC's windows and the follower's share of memory."""
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        await worker.start(lease.fence)
        output = OutputPusher(calls)
        request = pb.FollowOutputRequest(execution_id=id_, follow=True)
        messages = aiter(calls.executions.FollowOutput(request))
        await output.push(lease, 0, CHUNK)
        position = len((await anext(messages)).piece.data)
        for number in range(1, CHUNKS):
            await output.push(lease, number * len(CHUNK), CHUNK)
        size = CHUNKS * len(CHUNK)
        await worker.finish(lease.fence, output_bytes=size)
        await output.close()
        lagged_at = []
        async with asyncio.timeout(20):
            async for message in messages:
                match message.WhichOneof("event"):
                    case "lagged":
                        lagged_at.append((message.lagged.offset, position))
                    case "piece":
                        assert message.piece.offset == position
                        at = position % len(CHUNK)
                        position += len(message.piece.data)
                        expected = (CHUNK + CHUNK)[at:][
                            : position - message.piece.offset
                        ]
                        assert message.piece.data == expected
                    case _:
                        assert message.end.log_complete
    assert lagged_at
    assert all(told == at < size for told, at in lagged_at)
    assert position == size


async def test_chunks_that_come_twice_or_too_early_are_answered_with_the_offset(
    calls: Calls,
) -> None:
    await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        output = OutputPusher(calls)
        assert (await output.push(lease, 0, b"abc")).offset == 3
        assert (await output.push(lease, 0, b"abc")).offset == 3
        assert (await output.push(lease, 10, b"xyz")).offset == 3
        assert (await output.push(lease, 2, b"cde")).offset == 5
        await output.close()


async def test_a_cancelled_execution_that_never_ran_has_an_end_without_output(
    plane: Plane, calls: Calls
) -> None:
    id_ = await calls.run()
    follower = Follower(calls, id_)
    await until(lambda: plane.following._assigned)  # it waits for an attempt
    await calls.cancel(execution_id=id_)
    end = await follower.ended()
    assert (follower.data, end.next_offset) == (b"", 0)
    assert STATE_WORDS[end.execution.state] == "cancelled"


async def test_output_of_what_is_not_there_is_refused(calls: Calls) -> None:
    async def follow(id_: str, **fields: Any) -> None:
        request = pb.FollowOutputRequest(execution_id=id_, **fields)
        async for _ in calls.executions.FollowOutput(request):
            pass

    await refused(follow("ffff-none"), "EXECUTION_NOT_FOUND")
    id_ = await calls.run()
    await refused(follow(id_, namespace="ops"), "EXECUTION_NOT_FOUND")
    await refused(follow("f"), "INVALID_ARGUMENT")


async def test_output_of_an_unknown_or_superseded_fence_is_refused_and_counted(
    plane: Plane, calls: Calls
) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        output = OutputPusher(calls)
        assert not (await output.push(lease, 0, b"mine")).refused
        for stale in (
            pb_worker.Lease(fence=7, execution_id=id_, attempt=1),
            pb_worker.Lease(fence=lease.fence, execution_id="ffff-none", attempt=1),
            pb_worker.Lease(fence=lease.fence, execution_id=id_, attempt=2),
        ):
            for _ in range(2):
                ack = await output.push(stale, 0, b"theirs")
                assert (ack.refused, ack.fence) == (True, stale.fence)
        await worker.start(lease.fence)
        await worker.finish(lease.fence, output_bytes=8)
        late = await output.push(lease, 4, b"late")
        assert (late.refused, late.offset) == (False, 8), "output travels by itself"
        await output.close()
    reader = Follower(calls, id_)
    await reader.ended()
    assert reader.data == b"minelate"
    refused = [fact for fact in plane.facts if isinstance(fact, ReportRefused)]
    assert [(fact.fence, fact.report) for fact in refused] == [
        (7, "output"),
        (lease.fence, "output"),
        (lease.fence, "output"),
    ]
