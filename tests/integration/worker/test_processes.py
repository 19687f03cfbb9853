"""Commands and scripts, from the lease to the acknowledged result."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest

from integration.worker.host import Host, gone
from jobs_grpc.v1 import worker_service_pb2 as wire
from support.fake_leader import FakeLeader, instant, seconds


async def test_a_command_runs_and_everything_about_it_is_reported(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    fence = leader.command("echo out; echo err >&2; exit 3")
    end = await leader.end_of(fence)
    assert end.outcome == wire.ATTEMPT_OUTCOME_FAILED
    assert (end.exit_code, end.error) == (3, "exited with code 3")
    assert instant(end.started_at) <= instant(end.finished_at)
    assert end.usage.peak_memory_bytes > 0
    assert end.output_bytes == 8
    log = leader.log(fence)
    assert (log.stdout, log.stderr) == ("out\n", "err\n")
    assert {chunk.execution_id for chunk in log.chunks} == {f"execution-{fence}"}
    assert {chunk.attempt for chunk in log.chunks} == {1}


async def test_an_argument_vector_sees_no_shell_and_standard_input_is_bytes(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    vector = leader.command("printf", "%s", "a && $HOME")
    stdin = leader.command("cat", "-", work={"stdin": b"\x00\xff"})
    await leader.end_of(vector)
    await leader.end_of(stdin)
    assert leader.log(vector).data == b"a && $HOME"
    assert leader.log(stdin).data == b"\x00\xff"


async def test_the_environment_is_the_jobs_own(
    leader: FakeLeader, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "x")
    await host.start()
    work = {"environment": {"OWN": "1", "PATH": "/bin"}, "params": {"db": "orders"}}
    fence = leader.command("/usr/bin/env", "-0", work=work)
    await leader.end_of(fence)
    lines = leader.log(fence).stdout.split("\0")[:-1]
    found = dict(line.split("=", 1) for line in lines)
    assert not {"SECRET_OF_THE_DAEMON", "VIRTUAL_ENV"} & set(found)
    assert found["JOBS_FENCE"] == str(fence)
    assert (found["OWN"], found["PATH"], found["JOBS_PARAM_DB"]) == (
        "1",
        "/bin",
        "orders",
    )
    assert (found["JOB_NAME"], found["WORKSPACE_ID"]) == ("a-job", "_standalone_")


async def test_a_job_runs_in_the_directory_of_its_workspace(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    first = leader.command("pwd; mkdir data", workspace="my-app", namespace="ops")
    await leader.end_of(first)
    home = host.data / "deployments/ops/my-app"
    assert leader.log(first).stdout == f"{home}\n"
    work = {"working_dir": "data"}
    second = leader.command("pwd", work=work, workspace="my-app", namespace="ops")
    await leader.end_of(second)
    assert leader.log(second).stdout == f"{home}/data\n"
    third = leader.command("pwd", work={"working_dir": "/no/such/place"})
    end = await leader.end_of(third)
    assert end.outcome == wire.ATTEMPT_OUTCOME_FAILED
    assert "working directory /no/such/place does not exist" in end.error


@pytest.mark.parametrize(
    ("text", "interpreter", "printed"),
    [
        ("echo $0 | grep -c script", "", "1\n"),
        ("#!/usr/bin/env python3\nprint(1 + 1)", "bash", "2\n"),
        ("set -e\necho ${BASH_VERSION:+bash}", "bash", "bash\n"),
        ("import sys; print(sys.argv[0][-6:])", "python", "script\n"),
    ],
)
async def test_a_script_runs_by_its_first_line_or_its_interpreter(
    leader: FakeLeader, host: Host, text: str, interpreter: str, printed: str
) -> None:
    await host.start()
    fence = leader.script(text, interpreter)
    end = await leader.end_of(fence)
    assert (end.outcome, leader.log(fence).stdout) == (
        wire.ATTEMPT_OUTCOME_SUCCEEDED,
        printed,
    )


@pytest.mark.parametrize(
    ("text", "interpreter", "words"),
    [
        ("echo", "no-such-interpreter", "command not found: no-such-interpreter"),
        ("#!/no/such/program\n", "", "interpreter that the first line of"),
        ("  ", "", "the script is empty"),
    ],
)
async def test_a_script_that_cannot_run_fails_with_a_sentence(
    leader: FakeLeader, host: Host, text: str, interpreter: str, words: str
) -> None:
    await host.start()
    end = await leader.end_of(leader.script(text, interpreter))
    assert end.outcome == wire.ATTEMPT_OUTCOME_FAILED
    assert words in end.error


async def test_work_that_this_worker_does_not_know_fails_with_a_sentence(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    end = await leader.end_of(leader.lease(wire.Work()))
    assert end.outcome == wire.ATTEMPT_OUTCOME_FAILED
    assert "does not know this kind of work" in end.error


async def test_the_private_directory_is_removed_when_all_is_acknowledged(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    text = (
        '#!/bin/sh\necho x > "$JOBS_OUTPUT_DIR/file"; stat -c %a "$JOBS_OUTPUT_DIR" $0'
    )
    fence = leader.script(text)
    await leader.end_of(fence)
    assert leader.log(fence).stdout == "700\n700\n"
    await gone(lambda: not any((host.data / "keeper/attempts").iterdir()))
    await gone(lambda: not any((host.data / "outputs").iterdir()))


async def test_a_start_waits_for_its_grant(leader: FakeLeader, host: Host) -> None:
    leader.grants_starts = False
    await host.start()
    fence = leader.command("echo x", delivery=wire.DELIVERY_AT_MOST_ONCE)
    await leader.until(lambda: "starting" in leader.kinds(fence))
    once = leader.command("true")
    await leader.end_of(once)
    assert leader.kinds(fence) == ["starting"]
    grant = wire.Acks(start_granted=[fence])
    leader.send(wire.LeaderMessage(acks=grant))
    await leader.end_of(fence)
    assert leader.log(fence).stdout == "x\n"


async def test_a_refused_start_is_forgotten(leader: FakeLeader, host: Host) -> None:
    leader.refuses_starts = True
    daemon = await host.start()
    fence = leader.command("echo x", delivery=wire.DELIVERY_AT_MOST_ONCE)
    await leader.until(lambda: "starting" in leader.kinds(fence))
    await leader.end_of(leader.command("true"))
    assert leader.kinds(fence) == ["starting"]
    assert fence not in daemon.session.registry


async def test_a_cancelled_job_ends_with_all_its_processes(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    grace = wire.CancelPolicy(signal="TERM", grace=seconds(0.2))
    fence = leader.command(
        "trap '' TERM; setsid sleep 60 & echo ready; sleep 60", cancel=grace
    )
    await leader.until(lambda: "ready" in leader.log(fence).stdout)
    leader.cancel(fence, "requested by alice")
    leader.cancel(fence, "requested by bob")
    end = await leader.end_of(fence)
    assert end.outcome == wire.ATTEMPT_OUTCOME_CANCELLED
    assert end.error == "requested by alice"
    assert [sent.signal for sent in end.receipt.signals][:2] == ["TERM", "KILL"]
    await gone(lambda: len(host.processes()) == 1)


async def test_a_job_that_takes_too_long_is_timed_out(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    fence = leader.command("sleep 60", timeout=seconds(0.2))
    end = await leader.end_of(fence)
    assert (end.outcome, end.error) == (
        wire.ATTEMPT_OUTCOME_TIMED_OUT,
        "timed out after 0.2s",
    )
    assert instant(end.finished_at) - instant(end.started_at) < 2


async def test_a_line_reaches_the_leader_while_the_job_runs(
    leader: FakeLeader, host: Host, tmp_path: Path
) -> None:
    await host.start()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    fence = leader.command(f"echo one; read x < {gate}; echo two")
    await leader.until(lambda: leader.log(fence).stdout == "one\n")
    await leader.until(lambda: "started" in leader.kinds(fence))
    await asyncio.to_thread(gate.write_text, "go\n")
    await leader.end_of(fence)
    assert leader.log(fence).stdout == "one\ntwo\n"


async def test_much_binary_output_arrives_byte_for_byte(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    command = "head -c 8000000 /dev/urandom | tee /dev/stderr | md5sum"
    fence = leader.command(command, output_limit=32 << 20)
    await leader.end_of(fence)
    log = leader.log(fence)
    stderr = log.by_stream[2]
    assert len(stderr) == 8_000_000
    assert log.stdout.split()[0] == hashlib.md5(stderr).hexdigest()


async def test_output_has_a_limit_and_the_job_does_not_notice(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    command = "echo first; head -c 100000 /dev/zero; echo last"
    fence = leader.command(command, output_limit=1000)
    end = await leader.end_of(fence)
    assert end.outcome == wire.ATTEMPT_OUTCOME_SUCCEEDED
    assert end.output_dropped == 100_011 - 1000
    log = leader.log(fence)
    assert b"limit" in log.by_stream[3]
    assert log.by_stream[1].startswith(b"first\n" + bytes(494))
    assert log.by_stream[1].endswith(bytes(495) + b"last\n")
    assert end.output_bytes == 100_011 + len(log.by_stream[3]), "offsets count it all"
    assert log.gaps


async def test_a_flood_leaves_its_beginning_and_its_end_and_no_disk_behind(
    leader: FakeLeader, host: Host
) -> None:
    await host.start()
    limit = 4 << 20
    command = "seq 1 9000000"  # 69 MB
    fence = leader.command(command, output_limit=limit)
    end = await leader.end_of(fence)
    data, size = leader.log(fence).data, end.output_bytes
    lines = bytes(data[: 1 << 20]).split(b"\n")[:-1]
    assert lines == [b"%d" % n for n in range(1, len(lines) + 1)]
    said = len(leader.log(fence).by_stream[3])
    tail = bytes(data[size - said - (limit - (1 << 20)) : size - said])
    assert b"\0" not in tail
    numbers = [int(line) for line in tail.split(b"\n")[1:-1]]
    assert numbers == list(range(numbers[0], 9_000_001))
    assert end.output_dropped == size - said - limit


async def test_quick_jobs_are_reported_in_batches_and_once(
    leader: FakeLeader, host: Host
) -> None:
    await host.start(slots=20)
    fences = [leader.command("true") for _ in range(100)]
    for fence in fences:
        await leader.end_of(fence)
    for fence in fences:
        assert leader.kinds(fence).count("finished") == 1
    assert len(leader.batches) < 150


async def test_no_more_jobs_run_than_there_are_slots(
    leader: FakeLeader, host: Host, tmp_path: Path
) -> None:
    await host.start(slots=2)
    count = tmp_path / "count"
    count.mkdir()
    command = f"touch {count}/$JOBS_FENCE; ls {count} | wc -l; sleep 0.05; rm {count}/$JOBS_FENCE"
    fences = [leader.command(command) for _ in range(6)]
    seen = []
    for fence in fences:
        await leader.end_of(fence)
        seen.append(int(leader.log(fence).stdout))
    assert max(seen) <= 2


async def test_the_hello_says_who_the_worker_is(leader: FakeLeader, host: Host) -> None:
    def greet() -> None: ...

    daemon = await host.start(greet, slots=7, labels={"role": "db"})
    (hello,) = leader.hellos
    assert (hello.worker_name, hello.slots) == ("a-host", 7)
    assert dict(hello.labels) == {"role": "db"}
    assert list(hello.functions) == ["greet"]
    assert hello.worker_id == daemon.identity.worker_id
    await leader.end_of(leader.command("true"))
    assert json.loads((host.data / "session.json").read_text()) == {
        "session_id": "session-1",
        "highest_term": 1,
    }
