"""The server as a process: how it starts, ends, is killed, and what it then still knows."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jobs_grpc.controlplane.storage.sqlite import SqliteStore
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.v1 import job_service_pb2 as jobs
from jobs_grpc.wire.states import STATE_WORDS
from jobs_grpc.wire.time import timestamp
from support.calls import Calls
from support.jobs import NOON
from support.scripted_worker import OutputPusher, ScriptedWorker, entry
from support.server_process import ServerProcess, run_to_end, serving
from support.until import until

JOB = {"name": "backup", "command": "true"}


@asynccontextmanager
async def talking(server: ServerProcess) -> AsyncIterator[Calls]:
    """Talk to a server that leads."""
    calls = server.calls()
    try:
        await until(calls.is_serving)
        yield calls
    finally:
        await calls.close()


async def dues_of(calls: Calls, *, after: float = 0.0, at_least: int = 0) -> list[int]:
    """Return the due times that were started, the latest first, if they suffice."""
    answer = await calls.executions.ListExecutions(
        pb.ListExecutionsRequest(job="backup", page_size=1_000)
    )
    dues = [one.scheduled_for.ToSeconds() for one in answer.executions]
    return dues if len(dues) >= at_least and max(dues, default=0) > after else []


# Killed.


async def test_a_killed_server_knows_everything_it_had_acknowledged(
    tmp_path: Path,
) -> None:
    lease_of_a_lost_stream = None
    with serving(tmp_path) as server:
        async with talking(server) as calls:
            await calls.apply({**JOB, "schedule": "0 0 1 1 *"})
            done = await calls.run()
            async with ScriptedWorker(calls) as worker:
                await worker.run("failed", exit_code=3)
            running, waiting = await calls.submit(
                pb.Submission(job="backup", request_id="r1"),
                pb.Submission(job="backup", request_id="r2"),
            )
            cancelled = await calls.run()
            await calls.cancel(execution_id=cancelled)
            async with ScriptedWorker(calls) as worker:
                lease = lease_of_a_lost_stream = await worker.lease()
                await worker.start(lease.fence)
                output = OutputPusher(calls)
                assert (await output.push(lease, 0, b"before ")).offset == 7
                server.kill()

    with serving(tmp_path) as server:
        async with talking(server) as calls:
            assert (await calls.info()).term == 2
            states = [
                await calls.state(id_) for id_ in (done, running, waiting, cancelled)
            ]
            assert states == ["failed", "running", "pending", "cancelled"]
            repeated = [
                (await calls.submit(pb.Submission(job="backup", request_id=one)))[0]
                for one in ("r1", "r2")
            ]
            assert repeated == [running, waiting]
            held = entry(
                lease_of_a_lost_stream.fence, "running", started_at=timestamp(NOON)
            )
            async with ScriptedWorker(calls, inventory=[held]) as worker:
                assert worker.verdicts() == {held.fence: "adopt"}
                output = OutputPusher(calls)
                assert (await output.push(lease, 0, b"before ")).offset == 7
                assert (await output.push(lease, 7, b"after")).offset == 12
                await worker.finish(lease.fence, output_bytes=12)
                # The slot is free for what waited, with a fence above all of old.
                following = await worker.run()
                assert following.execution_id == waiting
                assert following.fence > lease.fence
            execution = await calls.execution(running)
            assert (STATE_WORDS[execution.state], execution.attempt) == ("succeeded", 1)
            statistics = (await calls.job("backup")).statistics
            assert (statistics.run_count, statistics.success_count) == (4, 2)
            text = b""
            request = pb.FollowOutputRequest(execution_id=running, follow=True)
            async for message in calls.executions.FollowOutput(request):
                text += message.piece.data
            assert text == b"before after"


async def test_due_times_are_decided_once_over_a_kill(tmp_path: Path) -> None:
    document = {**JOB, "schedule": "every 1s", "overlap": "allow"}
    with serving(tmp_path) as server:
        async with talking(server) as calls:
            await calls.apply(document)
            await until(lambda: dues_of(calls, at_least=1))
            server.kill()
    killed_at = time.time()
    with serving(tmp_path) as server:
        async with talking(server) as calls:
            await until(lambda: dues_of(calls, after=killed_at))
            dues = await dues_of(calls)
    assert dues == list(range(dues[0], dues[-1] - 1, -1))
    assert dues[-1] < killed_at < dues[0]


# Ended.


async def test_a_server_that_is_asked_to_end_ends_within_a_second(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        async with talking(server) as calls:
            await calls.apply(JOB)
            id_ = await calls.run()
            async with ScriptedWorker(calls) as worker:
                lease = await worker.lease()
                await worker.start(lease.fence)
                request = pb.FollowOutputRequest(execution_id=id_, follow=True)
                follower = calls.executions.FollowOutput(request)
                waiting = asyncio.ensure_future(calls.wait(id_, 60))
                await worker.quiet()
                code, took = await asyncio.to_thread(server.terminate)
                message = await worker.hear()
                assert "stops" in message.go_away.reason
                await asyncio.gather(waiting, return_exceptions=True)
                follower.cancel()
    assert code == 0
    assert took < 1
    assert "Traceback" not in "".join(server.lines)
    with serving(tmp_path) as server:
        async with talking(server) as calls:
            assert await calls.state(id_) == "running"


# Refused.


async def test_a_second_server_on_the_same_data_or_address_gives_up(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "one") as server:
        # With so_reuseport both would listen, and split the workers between them.
        same_data, same_address = await asyncio.gather(
            asyncio.to_thread(run_to_end, tmp_path / "one"),
            asyncio.to_thread(run_to_end, tmp_path / "two", addr=server.address),
        )
        assert same_data.returncode == same_address.returncode == 1
        assert same_data.stderr.startswith("error: ")
        assert f"the data directory {tmp_path / 'one'} is in use" in same_data.stderr
        assert f"process {server.process.pid}" in same_data.stderr
        assert f"cannot listen on {server.address}" in same_address.stderr
        assert "--addr" in same_address.stderr
        assert "Traceback" not in same_data.stderr + same_address.stderr
        async with talking(server) as calls:
            assert (await calls.info()).term == 1
    # What the second one had taken hold of is free again.
    store = SqliteStore(tmp_path / "two")
    await store.open()
    await store.close()


async def test_an_address_that_another_program_has_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        ended = await asyncio.to_thread(run_to_end, tmp_path, addr=taken)
    assert ended.returncode == 1
    assert f"cannot listen on {taken}" in ended.stderr


def test_settings_that_cannot_stand_are_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    ended = run_to_end(tmp_path / "data", "--log-level", "loud", addr="0.0.0.0:7420")
    assert ended.returncode == 2
    assert "not a loopback address" in ended.stderr
    assert "--log-level" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run_to_end(tmp_path / "file" / "data")
    assert ended.returncode == 1
    assert str(tmp_path / "file") in ended.stderr
    assert "Traceback" not in ended.stderr


# Its log.


async def test_the_log_tells_the_story_of_a_job(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json") as server:
        async with talking(server) as calls:
            await calls.apply(JOB)
            id_ = await calls.run()
            async with ScriptedWorker(calls) as worker:
                await worker.run("failed", exit_code=3)
            await asyncio.to_thread(
                server.line, re.compile(r"JOB backup: failed in \S+: ")
            )
    records = [json.loads(line) for line in server.lines]
    story = [
        record["message"].split(" in ")[0]
        for record in records
        if record["message"].startswith("JOB backup")
    ]
    assert story == [
        "JOB backup: created",
        "JOB backup: started on w1",
        "JOB backup: failed",
    ]
    assert [record.get("execution") for record in records].count(id_) == 2


async def test_a_watched_folder_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(JOB))
    with serving(tmp_path / "data", "--jobs", str(folder)) as server:
        async with talking(server) as calls:

            async def is_there() -> bool:
                # The count in the server's info may be a commit ahead of what is read.
                listed = await calls.jobs.ListJobs(jobs.ListJobsRequest())
                return len(listed.jobs) == 1

            await until(is_there)
            job = await calls.job("backup")
            assert job.source == f"folder:{folder / 'a.json'}"
