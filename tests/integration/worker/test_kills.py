"""kill -9 of the session process, of the keeper and of a job: what is left each time.

`make kills` does each of them often; here it is once.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from integration.worker.host import Host, gone, kill
from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.worker.keeper.processes.tree import environment, everyone, look
from support.fake_leader import FakeLeader

TIMES = int(os.environ.get("KILL_TIMES", "1"))
LINES = 150_000
PRINTS = f"seq 1 {LINES}; seq 1 {LINES} >&2"
WHOLE = b"".join(b"%d\n" % n for n in range(1, LINES + 1))


def living(fence: int) -> list[int]:
    """Return the processes that carry the marker of an attempt."""
    marker = b"JOBS_FENCE=%d" % fence
    found = []
    for pid in everyone():
        process = look(pid) if marker in environment(pid) else None
        if process is not None and process.is_alive:
            found.append(pid)
    return found


@pytest.mark.parametrize("turn", range(TIMES))
async def test_output_is_whole_whenever_the_session_process_is_killed(
    leader: FakeLeader, host: Host, tmp_path: Path, turn: int
) -> None:
    source = random.Random(turn)
    gate = tmp_path / "gate"
    program = await host.spawn()
    # It prints on while nobody listens, too.
    command = f"{PRINTS}; echo here; until [ -e {gate} ]; do sleep 0.05; done; {PRINTS}"
    fence = leader.command(command)
    wanted = source.randrange(1, len(WHOLE))
    await leader.until(lambda: len(leader.log(fence).data) >= wanted)
    (main, *_) = living(fence)
    program.kill()
    await program.wait()
    if source.random() < 0.5:
        gate.touch()
    assert living(fence), "the job runs on"
    assert look(main) is not None
    await host.spawn()
    assert [entry.fence for entry in leader.hellos[-1].inventory] == [fence]
    gate.touch()
    end = await leader.end_of(fence)
    assert end.outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
    log = leader.log(fence)
    assert bytes(log.by_stream[1]) == WHOLE + b"here\n" + WHOLE
    assert bytes(log.by_stream[2]) == WHOLE * 2
    assert (end.output_bytes, end.output_dropped) == (len(log.data), 0)
    assert leader.kinds(fence).count("finished") == 1


@pytest.mark.parametrize("turn", range(TIMES))
async def test_no_process_is_left_when_the_keeper_is_killed(
    leader: FakeLeader, host: Host, turn: int
) -> None:
    await host.spawn()
    before = leader.command("echo done")
    await leader.end_of(before)
    fence = leader.command(
        "trap '' TERM; (setsid sleep 1000 &); setsid sleep 1000 & sleep 1000 &"
        " echo ready; sleep 1000"
    )
    await leader.until(lambda: leader.log(fence).stdout == "ready\n")
    first = host.keeper()
    kill(first)
    end = await leader.end_of(fence)
    assert (end.outcome, end.error) == (
        wire.ATTEMPT_OUTCOME_LOST,
        "the keeper was killed",
    )
    assert end.receipt.signals[0].signal == "KILL"
    assert not end.receipt.survivors
    assert living(fence) == []
    assert leader.log(fence).stdout == "ready\n"
    after = leader.command("echo after")
    assert (await leader.end_of(after)).outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
    assert host.keeper() != first
    assert leader.kinds(before).count("finished") == 1, "what had ended stays so"


@pytest.mark.parametrize("turn", range(TIMES))
async def test_a_killed_job_has_failed_and_what_it_left_is_ended(
    leader: FakeLeader, host: Host, turn: int
) -> None:
    await host.spawn()
    fence = leader.command(
        "(setsid sleep 1000 >/dev/null 2>&1 &); sleep 1000 >/dev/null 2>&1 &"
        " echo $$; wait"
    )
    await leader.until(lambda: leader.log(fence).stdout.endswith("\n"))
    os.kill(int(leader.log(fence).stdout), signal.SIGKILL)
    end = await leader.end_of(fence)
    assert (end.outcome, end.signal, end.error) == (
        wire.ATTEMPT_OUTCOME_FAILED,
        "KILL",
        "ended by signal KILL",
    )
    assert {sent.signal for sent in end.receipt.signals} <= {"TERM", "KILL"}
    await gone(lambda: not living(fence))


@pytest.mark.parametrize("turn", range(TIMES))
async def test_the_keeper_and_the_session_process_may_be_killed_together(
    leader: FakeLeader, host: Host, turn: int
) -> None:
    program = await host.spawn()
    fence = leader.command("echo ready; sleep 1000")
    await leader.until(lambda: leader.log(fence).stdout == "ready\n")
    both = [host.keeper(), program.pid]
    random.Random(turn).shuffle(both)
    for pid in both:
        kill(pid)
    await program.wait()
    await host.spawn()
    end = await leader.end_of(fence)
    assert end.outcome == wire.ATTEMPT_OUTCOME_LOST
    assert living(fence) == []
