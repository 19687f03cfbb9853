"""Processes that end: the session process, the keeper, and both by order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from integration.worker.host import Host, gone, kill
from jobs_grpc.v1 import worker_service_pb2 as wire
from support.fake_leader import FakeLeader

FUNCTIONS = """
from __future__ import annotations
import asyncio
from jobs_grpc.worker import function

@function
async def waits() -> None:
    print("waiting", flush=True)
    await asyncio.sleep(60)

@function
async def quick() -> int:
    return 1
"""


async def test_a_killed_session_process_disturbs_no_job(
    leader: FakeLeader, host: Host, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "functions_of_a_test.py").write_text(FUNCTIONS)
    arguments = ("--functions", str(tmp_path / "functions_of_a_test.py"))
    first = await host.spawn(*arguments)
    job = leader.command(f"echo $$; read x < {gate}; echo after; exit 5")
    function = leader.function("waits")
    await leader.until(lambda: leader.log(job).stdout.endswith("\n"))
    await leader.until(lambda: leader.log(function).stdout == "waiting\n")
    first.kill()
    await first.wait()
    pid = int(leader.log(job).stdout)
    os.kill(pid, 0)

    await host.spawn(*arguments)
    again = leader.hellos[1]
    assert again.worker_id == leader.hellos[0].worker_id
    assert again.session_id == "session-1"
    phases = {entry.fence: entry.phase for entry in again.inventory}
    assert phases == {
        job: wire.ATTEMPT_PHASE_RUNNING,
        function: wire.ATTEMPT_PHASE_FINISHED,
    }
    lost = await leader.end_of(function)
    assert lost.outcome == wire.ATTEMPT_OUTCOME_LOST
    assert lost.error == "the worker program ended while the function ran"
    gate.write_text("go\n")
    end = await leader.end_of(job)
    assert end.exit_code == 5
    assert leader.log(job).stdout == f"{pid}\nafter\n"
    await leader.end_of(leader.function("quick"))


async def test_results_that_ended_unheard_are_told_by_the_next_process(
    leader: FakeLeader, host: Host, tmp_path: Path
) -> None:
    (tmp_path / "functions_of_a_test.py").write_text(FUNCTIONS)
    arguments = ("--functions", str(tmp_path / "functions_of_a_test.py"))
    leader.acknowledges_results = leader.acknowledges_output = False
    first = await host.spawn(*arguments)
    job = leader.command("echo kept; exit 5")
    function = leader.function("quick")
    await leader.end_of(job)
    await leader.end_of(function)
    first.kill()
    await first.wait()
    leader.finished.clear()
    leader.outputs.clear()
    leader.acknowledges_results = leader.acknowledges_output = True
    await host.spawn(*arguments)
    assert (await leader.end_of(job)).exit_code == 5
    assert leader.log(job).stdout == "kept\n"
    assert (await leader.end_of(function)).result_json == "1"
    await gone(lambda: not any((host.data / "keeper/attempts").iterdir()))


async def test_a_killed_keeper_loses_its_jobs_and_says_so(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    fence = leader.command("echo $$; exec sleep 60")
    await leader.until(lambda: leader.log(fence).stdout.endswith("\n"))
    kill(host.keeper())
    end = await leader.end_of(fence)
    assert end.outcome == wire.ATTEMPT_OUTCOME_LOST
    pid = int(leader.log(fence).stdout)
    await gone(lambda: not Path(f"/proc/{pid}").exists())
    after = await leader.end_of(leader.command("echo works"))
    assert after.outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED


async def test_an_idle_worker_stops_with_a_goodbye_and_leaves_nothing(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    await leader.end_of(leader.command("true"))
    assert await host.stop() < 1
    assert leader.goodbyes == ["the worker stops"]
    await gone(lambda: not host.processes())
    await host.start()
    assert leader.hellos[-1].session_id == ""


async def test_a_stopped_worker_lets_its_jobs_run_and_the_next_adopts_them(
    leader: FakeLeader, host: Host, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    async def waits() -> None:
        await asyncio.sleep(60)

    await host.start(waits)
    job = leader.command(f"read x < {gate}; echo done")
    function = leader.function("waits")
    asked = leader.command("true", delivery=wire.DELIVERY_AT_LEAST_ONCE)
    await leader.end_of(asked)
    await leader.until(lambda: "started" in leader.kinds(job))
    assert await host.stop() < 1
    assert leader.goodbyes == []
    assert leader.finished[function].outcome == wire.ATTEMPT_OUTCOME_LOST
    await host.start(waits)
    assert leader.hellos[-1].session_id == "session-1"
    gate.write_text("go\n")
    end = await leader.end_of(job)
    assert end.outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
    assert leader.log(job).stdout == "done\n"


async def test_an_ephemeral_worker_ends_all_its_jobs_within_a_second(
    leader: FakeLeader, host: Host
) -> None:
    await host.start(ephemeral=True)
    fences = [
        leader.command("trap '' TERM; setsid sleep 60 & echo up; sleep 60")
        for _ in range(3)
    ]
    await leader.until(lambda: {leader.log(f).stdout for f in fences} == {"up\n"})
    assert await host.stop() < 1.5
    ends = [leader.finished[fence] for fence in fences]
    assert {end.outcome for end in ends} == {wire.ATTEMPT_OUTCOME_CANCELLED}
    assert {end.error for end in ends} == {"the worker is stopping"}
    assert leader.goodbyes == ["the worker stops"]
    await gone(lambda: not host.processes())


async def test_a_worker_stops_without_its_leader_too(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    leader.acknowledges_results = False
    await leader.end_of(leader.command("true"))
    await leader.down()
    assert await host.stop() < 1
    leader.acknowledges_results = True
    await leader.up()
    await host.start()
    assert len(leader.hellos[-1].inventory) == 1


async def test_signals_stop_the_program(leader: FakeLeader, host: Host) -> None:
    program = await host.spawn("--ephemeral", "--log-format", "json")
    fence = leader.command("sleep 60")
    await leader.until(lambda: "started" in leader.kinds(fence))
    began = time.monotonic()
    program.send_signal(signal.SIGINT)
    _, stderr = await program.communicate()
    assert program.returncode == 0
    assert time.monotonic() - began < 5
    assert b'"message": "JOB a-job started"' in stderr
    assert b"Traceback" not in stderr
    await gone(lambda: not host.processes())


async def test_one_directory_has_one_worker(leader: FakeLeader, host: Host) -> None:
    await host.start()
    second = await host.launch()
    _, stderr = await second.communicate()
    assert second.returncode == 5
    assert stderr.decode().startswith("error: another worker (pid ")
    assert stderr.count(b"\n") == 1


async def test_what_is_wrong_with_a_program_is_one_line_each(host: Host) -> None:
    wrong = await host.launch("--slots", "x", "--functions", "/no/such.py")
    _, stderr = await wrong.communicate()
    assert wrong.returncode == 2
    assert stderr == b"error: --slots: must be a number from 1 to 10000, not 'x'\n"
    wrong = await host.launch("--functions", "/no/such.py")
    _, stderr = await wrong.communicate()
    assert (wrong.returncode, stderr.count(b"\n")) == (2, 1)
    host.data.write_text("a file")
    wrong = await host.launch()
    _, stderr = await wrong.communicate()
    assert stderr.startswith(b"error: cannot use the data directory")
    assert (wrong.returncode, stderr.count(b"\n")) == (1, 1)


async def test_a_program_of_the_user_is_a_worker(
    leader: FakeLeader, host: Host, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from jobs_grpc.worker import Worker, function\n"
        "@function\n"
        "async def mine(): return 'mine'\n"
        "if __name__ == '__main__':\n"
        f"    Worker(functions=[mine], addr={leader.address!r}, slots=3,"
        f" data={str(host.data)!r}).run()\n"
    )
    running = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stderr=asyncio.subprocess.DEVNULL
    )
    end = None
    try:
        await leader.connected()
        end = await leader.end_of(leader.function("mine"))
    finally:
        running.terminate()
        await running.wait()
    assert end.result_json == '"mine"'
    assert leader.hellos[0].slots == 3
