"""The keeper outlives its sessions; what it leaves when it dies, the next one ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integration.keeper.house import House, exited, is_alive, until_state
from jobs_grpc.worker.keeper.memory.journal import (
    Journal,
    keeper_fact,
    started_fact,
    starting_fact,
)
from jobs_grpc.worker.keeper.processes.tree import boot_id, look
from jobs_grpc.worker.keeper.protocol import Exited, Started
from jobs_grpc.worker.keeper.record import Outcome
from jobs_grpc.worker.keeper_link import (
    KeeperError,
    KeeperLink,
    KeeperLostError,
    KeeperRefusedError,
    OutputGrown,
)


@pytest.fixture
def house(own_house: House) -> House:
    """What these tests do to a keeper, they do to one of their own."""
    return own_house


async def test_a_job_outlives_the_session_that_started_it(house: House) -> None:
    first = await house.open()
    request = house.script("echo one; until [ -e go ]; do sleep 0.02; done; echo two")
    started = await first.start(request)
    assert isinstance(started, Started)
    await house.until_output(first, request.fence, b"one")
    await first.close()

    second = await house.open()
    assert second.welcome == first.welcome
    (status,) = await second.list()
    assert (status.state, status.pid) == ("running", started.pid)
    assert status.start_ticks == started.start_ticks
    assert status.output_bytes == 4
    assert await second.start(request) == started, "a repeated start starts nothing"
    (house.files / "go").touch()
    record = await house.end_of(second, request.fence)
    assert house.output(request.fence) == b"one\ntwo\n"
    assert record.output_bytes == 8


async def test_an_end_that_nobody_heard_is_listed_until_it_is_forgotten(
    house: House,
) -> None:
    first = await house.open()
    request = house.script("echo out; exit 5")
    await first.start(request)
    await first.close()
    second = await house.open()
    await until_state(second, request.fence, "ended")
    (status,) = await second.list()
    assert status.record is not None
    assert status.record.exit_code == 5
    await second.shutdown()
    await second.lost.wait()

    third = await house.open()
    assert third.welcome.pid != second.welcome.pid
    (again,) = await third.list()
    assert (again.state, again.record) == ("ended", status.record)
    answer = await third.start(request)
    assert isinstance(answer, Started)
    assert answer.pid == status.pid, "a repeated start of an ended attempt, too"
    assert await house.end_of(third, request.fence) == status.record
    (house.root / "attempts" / str(request.fence) / "output").mkdir()
    await third.forget(request.fence)
    await third.forget(request.fence)
    assert await third.list() == []
    assert not (house.root / "attempts" / str(request.fence)).exists()


async def test_what_runs_cannot_be_forgotten_nor_left(house: House) -> None:
    link = await house.open()
    request = house.request("sleep", "1000")
    await link.start(request)
    with pytest.raises(KeeperRefusedError, match="attempt 1 has not ended"):
        await link.forget(request.fence)
    with pytest.raises(KeeperRefusedError, match="1 attempts have not ended"):
        await link.shutdown()
    await link.shutdown(kill=True)
    record = await house.end_of(link, request.fence)
    assert record.reason == "the keeper was shut down"
    await link.lost.wait()


async def test_every_session_hears_of_every_attempt(house: House) -> None:
    one, two = await house.open(), await house.open()
    request = house.script("echo hi; until [ -e go ]; do sleep 0.01; done")
    await one.start(request)
    for link in (one, two):
        async with asyncio.timeout(10):
            async for event in link.events():
                assert event == OutputGrown(fence=request.fence, size=3)
                break
    (house.files / "go").touch()
    assert await house.end_of(one, request.fence) == await house.end_of(
        two, request.fence
    )


async def test_a_flood_of_output_makes_few_events(house: House) -> None:
    link = await house.open()
    request = house.script("head -c 20000000 /dev/zero")
    await link.start(request)
    sizes = []
    async with asyncio.timeout(20):
        async for event in link.events():
            if isinstance(event, Exited):
                assert event.record.output_bytes == 20_000_000
                break
            sizes.append(event.size)
    assert sizes == sorted(sizes)
    assert len(sizes) < 200


async def test_a_long_listing_arrives_whole(house: House) -> None:
    link = await house.open()
    requests = [house.request("/no/such/thing") for _ in range(1_201)]
    await asyncio.gather(*(link.start(request) for request in requests))
    listed = await link.list()
    assert sorted(each.fence for each in listed) == [each.fence for each in requests]
    await asyncio.gather(*(link.forget(each.fence) for each in requests))
    assert await link.list() == []


async def test_a_killed_keeper_is_followed_by_one_that_ends_its_jobs(
    house: House,
) -> None:
    first = await house.open()
    request = house.script(
        "echo kept; setsid sleep 1000 & (setsid sleep 1000 &) ; "
        "env -i setsid sleep 1000 & trap '' TERM; echo ready; sleep 1000"
    )
    quick = house.script("exit 2")
    ended = await house.run(first, quick)
    started = await first.start(request)
    assert isinstance(started, Started)
    await house.until_output(first, request.fence, b"ready")
    keeper = os.pidfd_open(first.welcome.pid)
    waiting = asyncio.ensure_future(house.end_of(first, request.fence))
    os.kill(first.welcome.pid, signal.SIGKILL)
    await exited(keeper)
    await first.lost.wait()
    with pytest.raises(AssertionError, match="lost"):
        await waiting
    with pytest.raises(KeeperLostError):
        await first.list()
    assert is_alive(started.pid)

    second = await house.open()
    by_fence = {status.fence: status for status in await second.list()}
    assert by_fence[quick.fence].record == ended
    lost = by_fence[request.fence].record
    assert lost is not None
    assert (lost.outcome, lost.error) == (Outcome.LOST, "the keeper was killed")
    assert (lost.exit_code, lost.signal) == (None, None)
    assert lost.started_at_us == started.started_at_us
    assert lost.receipt.signals[0].signal == "KILL"
    assert lost.receipt.signals[0].processes >= 5
    assert lost.receipt.survivors == ()
    assert lost.output_bytes == len(b"kept\nready\n")
    assert house.processes(request.fence) == []
    assert await second.start(request) == started
    assert house.output(request.fence) == b"kept\nready\n"


def invented_past(house: House, fence: int, *, pid: int, start_ticks: int) -> None:
    """Write the journal of a keeper that was killed while an attempt ran."""
    house.root.mkdir(mode=0o700)
    head = keeper_fact(boot_id=boot_id(), pid=1)
    journal = Journal(house.root / "journal", head=head, live={})
    journal.note(fence, starting_fact(fence, f"JOBS_FENCE={fence}"))
    started = started_fact(fence, pid=pid, start_ticks=start_ticks, started_at_us=5)
    journal.note(fence, started)
    journal.flush()
    os.close(journal.notice)


@pytest.mark.parametrize("offset", [-1, 1, 1000])
async def test_nomad_24265_a_pid_that_was_given_away_again_is_not_signaled(
    house: House, offset: int
) -> None:
    # The stranger even carries the attempt's number, but not this keeper's name.
    env = {"JOBS_FENCE": "7", "JOBS_KEEPER": "another"}
    with subprocess.Popen(
        ["/bin/sleep", "1000"], env=env, start_new_session=True
    ) as stranger:
        process = look(stranger.pid)
        assert process is not None
        ticks = process.start_ticks + offset
        invented_past(house, 7, pid=stranger.pid, start_ticks=ticks)
        link = await house.open()
        (status,) = await link.list()
        assert status.record is not None
        assert status.record.outcome is Outcome.LOST
        assert status.record.receipt.signals == ()
        assert stranger.poll() is None
        stranger.kill()


async def test_the_same_pid_with_the_same_start_time_is_ended(house: House) -> None:
    with subprocess.Popen(
        ["/bin/sleep", "1000"], env={}, start_new_session=True
    ) as job:
        process = look(job.pid)
        assert process is not None
        invented_past(house, 7, pid=job.pid, start_ticks=process.start_ticks)
        link = await house.open()
        (status,) = await link.list()
        assert status.record is not None
        assert [each.signal for each in status.record.receipt.signals] == ["KILL"]
        assert job.wait(10) == -signal.SIGKILL


async def test_a_second_keeper_of_the_same_root_is_refused(house: House) -> None:
    link = await house.open()
    command = [sys.executable, "-m", "jobs_grpc.worker.keeper", "--root"]
    second = subprocess.run(
        [*command, house.root], check=False, capture_output=True, text=True
    )
    assert second.returncode == 3
    sentence = f"another keeper (pid {link.welcome.pid}) already serves {house.root}"
    assert sentence in second.stderr
    assert await link.list() == []


async def test_sessions_that_open_at_once_share_one_keeper(house: House) -> None:
    links = await asyncio.gather(*(house.open() for _ in range(4)))
    assert len({link.welcome.pid for link in links}) == 1


async def test_an_idle_keeper_leaves_when_nobody_is_connected(house: House) -> None:
    link = await house.open(idle_exit_seconds=0.2)
    request = house.script("sleep 0.5; echo done")
    await link.start(request)
    keeper = os.pidfd_open(link.welcome.pid)
    await link.close()
    await exited(keeper)
    assert house.output(request.fence) == b"done\n", "not while a job ran"
    again = await house.open()
    assert again.welcome.pid != link.welcome.pid
    (status,) = await again.list()
    assert status.state == "ended"


async def test_a_root_with_a_long_path_works(tmp_path: Path) -> None:
    house = House(tmp_path / ("d" * 120) / "keeper", tmp_path)
    link = await house.open()
    assert (await house.run(link, house.script("exit 3"))).exit_code == 3
    await house.leave()


async def test_only_the_owner_can_reach_the_keeper(house: House) -> None:
    await house.open()
    assert house.root.stat().st_mode & 0o777 == 0o700


async def test_a_keeper_that_cannot_start_is_reported_with_its_log(
    tmp_path: Path,
) -> None:
    root = tmp_path / "keeper"
    root.mkdir()
    (root / "journal").mkdir()
    with pytest.raises(KeeperError, match=r"cannot begin in .* Is a directory"):
        await KeeperLink.open(root)


async def test_nonsense_on_the_socket_harms_nobody_else(house: House) -> None:
    link = await house.open()
    for nonsense in (
        b"\xff" * 100,
        b"\0\0\0\2{}",
        b"\0\0\0\x17" + b'{"type":"done","id":1}\n',
    ):
        reader, writer = await asyncio.open_unix_connection(house.root / "keeper.sock")
        writer.write(nonsense)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert (await house.run(link, house.script("exit 0"))).exit_code == 0


async def test_uvloop_speaks_to_the_keeper_as_well(house: House) -> None:
    import uvloop

    async def converse() -> None:
        link = await KeeperLink.open(house.root)
        request = house.script("echo hi; exit 3")
        record = await house.run(link, request)
        assert (record.exit_code, record.output_bytes) == (3, 3)
        await link.close()

    await asyncio.to_thread(uvloop.run, converse())
