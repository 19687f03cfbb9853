"""A worker whose disk fills up under it: nothing is lost that was promised, no restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from integration.worker.host import Host
from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.worker.keeper.spool import UNSAID
from support.fake_leader import FakeLeader
from support.small_disk import fill, small_disk

FUNCTIONS = """
from __future__ import annotations
import asyncio
import pathlib
from jobs_grpc.worker import function

@function
async def large(gate: str) -> str:
    while not pathlib.Path(gate).exists():
        await asyncio.sleep(0.02)
    return "x" * 50_000
"""


@pytest_asyncio.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Path]:
    with small_disk(tmp_path / "disk", size="24m") as place:
        yield place


async def test_a_full_disk_takes_no_work_loses_no_result_and_recovers_without_restart(
    leader: FakeLeader, disk: Path, tmp_path: Path
) -> None:
    host, gate = Host(leader, disk / "data"), tmp_path / "gate"
    module = tmp_path / "functions_on_a_full_disk.py"
    module.write_text(FUNCTIONS)
    program = await host.spawn("--min-free-disk", "2MiB", "--functions", str(module))
    try:
        job = leader.command(
            f"echo before; until [ -e {gate} ]; do sleep 0.02; done;"
            " head -c 3000000 /dev/zero; exit 7"
        )
        short = leader.command(
            f"until [ -e {gate} ]; do sleep 0.02; done; echo short done; exit 3"
        )
        function = leader.function("large", f'{{"gate": "{gate}"}}')
        await leader.until(lambda: leader.log(job).stdout == "before\n")
        await leader.until(lambda: "started" in leader.kinds(function))
        ballast = fill(disk)
        await leader.until(lambda: "its disk has" in leader.closed)
        given_back = leader.command("echo never")
        refused = await leader.end_of(given_back)
        assert refused.outcome == wire.ATTEMPT_OUTCOME_NOT_STARTED
        assert "its disk has" in refused.error
        gate.touch()
        end = await leader.end_of(job)
        assert end.exit_code == 7, "although there is no room for anything"
        assert end.output_dropped >= 2_900_000
        assert leader.log(job).stdout.startswith("before\n")
        end = await leader.end_of(short)
        assert (end.exit_code, end.output_dropped) == (3, len("short done\n"))
        await leader.until(lambda: leader.log(short).system == UNSAID.decode())
        assert (await leader.end_of(function)).result_json == '"' + "x" * 50_000 + '"'
        ballast.unlink()
        await leader.until(lambda: leader.closed == "")
        again = leader.command("echo after")
        assert (await leader.end_of(again)).outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
        assert leader.log(again).stdout == "after\n"
        assert program.returncode is None
        assert leader.connections == 1, "not even the connection broke"
    finally:
        await host.clear()


async def test_a_disk_too_small_to_begin_on_is_named_in_one_line(
    leader: FakeLeader, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", size="4m") as disk:
        host = Host(leader, disk / "data")
        try:
            program = await host.launch()
            _, errors = await program.communicate()
            (line,) = [
                one for one in errors.decode().splitlines() if one.startswith("error:")
            ]
            assert program.returncode == 1
            assert "Traceback" not in errors.decode()
            assert f"error: the disk of {disk / 'data'}" in line
            assert "is full" in line
        finally:
            await host.clear()
