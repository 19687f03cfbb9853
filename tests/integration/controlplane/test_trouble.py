"""When something below the services fails: who is told what, and what goes on."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import grpc
import pytest

from jobs_grpc.controlplane.storage.store import StoreFailedError
from jobs_grpc.v1 import execution_service_pb2 as pb
from support.calls import Calls, refused
from support.plane import Plane
from support.scripted_worker import OutputPusher, ScriptedWorker, entry
from support.server_process import run_to_end, serving
from support.small_disk import fill, small_disk
from support.until import until

JOB = {"name": "backup", "command": "true"}


async def test_a_full_disk_stops_the_leader_and_nothing_that_is_only_read(
    tmp_path: Path,
) -> None:
    with (
        small_disk(tmp_path / "disk", size="4m") as disk,
        serving(disk / "data") as server,
    ):
        calls = server.calls()
        try:
            await until(calls.is_serving)
            await calls.apply(JOB)
            id_ = await calls.run()
            async with ScriptedWorker(calls) as worker:
                lease = await worker.lease()
                ballast = fill(disk)
                await refused(
                    calls.apply(*({**JOB, "name": f"job-{n}"} for n in range(500))),
                    "NOT_LEADING",
                )

                async def is_not_serving() -> bool:
                    return not await calls.is_serving()

                await until(is_not_serving)
                while not (await worker.hear()).HasField("go_away"):
                    pass
            assert await calls.state(id_) == "pending"
            assert (await calls.job("backup")).revision == 1
            refusal = await refused(calls.run(), "NOT_LEADING")
            assert "is full" in refusal.message, "who asks can put it right"
            ballast.unlink()
            await until(calls.is_serving)
            assert (await calls.info()).jobs == 1
            async with ScriptedWorker(calls) as worker:
                assert (await worker.run()).fence > lease.fence
            assert await calls.state(id_) == "succeeded"
        finally:
            await calls.close()
    assert "disk is full" in "".join(server.lines)
    assert "Traceback" not in "".join(server.lines)


def test_a_disk_that_is_full_at_the_start_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        ended = run_to_end(disk / "data")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(disk / "data") in line
    assert "No space left on device" in line or "is full" in line


async def test_output_that_finds_no_room_stops_the_leader_until_there_is(
    tmp_path: Path,
) -> None:
    with (
        small_disk(tmp_path / "disk", size="8m") as disk,
        serving(disk / "data") as server,
    ):
        calls = server.calls()
        try:
            await until(calls.is_serving)
            await calls.apply(JOB)
            id_ = await calls.run()
            async with ScriptedWorker(calls) as worker:
                lease = await worker.lease()
                await worker.start(lease.fence)
                output = OutputPusher(calls)
                stored = (await output.push(lease, 0, b"acknowledged\n")).offset
                assert stored == 13
                ballast = fill(disk)
                with pytest.raises(grpc.RpcError):
                    await output.push(lease, stored, bytes(200_000))

                async def is_not_serving() -> bool:
                    return not await calls.is_serving()

                await until(is_not_serving)
            refusal = await refused(calls.run(), "NOT_LEADING")
            assert "the disk of the output is full" in refusal.message
            assert await calls.state(id_) == "running", "reads are served"
            ballast.unlink()
            await until(calls.is_serving)
            async with ScriptedWorker(
                calls, inventory=[entry(lease.fence, "running")]
            ) as worker:
                output = OutputPusher(calls)
                assert (await output.push(lease, 0, b"acknowledged\n")).offset == 13
                assert (await output.push(lease, 13, b"more")).offset == 17
                await worker.finish(lease.fence, output_bytes=17)
                await output.close()
            assert await calls.state(id_) == "succeeded"
        finally:
            await calls.close()
    log = "".join(server.lines)
    assert "the disk of the output is full" in log
    assert "output can be stored again" in log
    assert "Traceback" not in log


async def test_a_bug_of_ours_is_said_as_one_and_its_trace_stays_in_our_log(
    plane: Plane,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(plane.store, "job", fail)
    monkeypatch.setattr(plane.store, "find_executions", fail)
    refusal = await refused(
        calls.job("backup"), "INTERNAL", code=grpc.StatusCode.INTERNAL
    )
    assert "secret" not in refusal.message + refusal.hint
    assert refusal.request_id in refusal.hint
    assert f"GetJob failed, request {refusal.request_id}" in caplog.text
    assert "a secret detail" in caplog.text

    async def follow() -> None:
        request = pb.FollowOutputRequest(execution_id="ffff-none")
        async for _ in calls.executions.FollowOutput(request):
            pass

    await refused(follow(), "INTERNAL")


async def test_a_store_that_cannot_be_read_is_no_bug_of_ours(
    plane: Plane,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreFailedError("/data/jobs.db: disk I/O error")

    monkeypatch.setattr(plane.store, "job", fail)
    refusal = await refused(calls.job("backup"), "NOT_LEADING")
    assert "disk I/O error" in refusal.message
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_callers_that_go_away_leave_nothing_behind(
    plane: Plane, calls: Calls
) -> None:
    await calls.apply(JOB)
    id_ = await calls.run()
    waits = [asyncio.create_task(calls.wait(id_, 30)) for _ in range(10)]
    request = pb.FollowOutputRequest(execution_id=id_, follow=True)
    follows = [calls.executions.FollowOutput(request) for _ in range(10)]
    reads = [asyncio.create_task(one.read()) for one in follows]
    await until(lambda: bool(plane.leader.waiters))
    for wait in waits:
        wait.cancel()
    for follow in follows:
        follow.cancel()
    await asyncio.gather(*waits, *reads, return_exceptions=True)
    await until(lambda: not plane.leader.waiters)
    await until(lambda: not plane.following._assigned)
