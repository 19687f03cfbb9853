"""Running things, following them, ending them."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path

import pytest

from support.installed import CLI, Installed, processes_with, until

pytestmark = pytest.mark.acceptance


def test_a_followed_command_prints_each_line_as_it_comes(system: Installed) -> None:
    with subprocess.Popen(
        [
            *(*CLI, "run", "--follow", "--", "sh", "-c"),
            "for i in 1 2 3; do echo $i; sleep 1; done; exit 3",
        ],
        env=system.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        seen = [(line, time.monotonic()) for line in follower.stdout]
    assert [line for line, _ in seen] == ["1\n", "2\n", "3\n"]
    # They come a second apart, not all at the end.
    assert seen[1][1] - seen[0][1] > 0.7
    assert seen[2][1] - seen[1][1] > 0.7
    assert follower.returncode == 20


def test_a_late_follower_sees_the_lines_from_the_beginning(system: Installed) -> None:
    script = "for i in 1 2 3 4 5; do echo line $i; sleep 0.4; done"
    id_ = system.cli("run", "-o", "name", "--", "sh", "-c", script).stdout.strip()
    until(lambda: "line 3" in system.cli("logs", id_).stdout, "the third line")
    followed = system.cli("logs", "-f", id_)
    assert followed.stdout.splitlines() == [f"line {i}" for i in range(1, 6)]


def test_exit_codes_tell_how_it_ended(system: Installed) -> None:
    system.cli("run", "--wait", "--", "true")
    system.cli("run", "--wait", "--", "false", code=20)
    system.cli("run", "--wait", "--exit-status", "--", "sh", "-c", "exit 7", code=7)
    system.cli("run", "--wait", "--timeout", "300ms", "--", "sleep", "60", code=21)


def test_streams_are_told_apart(system: Installed) -> None:
    script = "echo out; echo err >&2"
    id_ = system.cli("run", "-o", "name", "--wait", "--", "sh", "-c", script).stdout
    id_ = id_.split()[-1]
    assert system.cli("logs", id_, "--stream", "stdout").stdout == "out\n"
    assert system.cli("logs", id_, "--stream", "stderr").stdout == "err\n"
    both = system.cli("logs", id_)
    assert (both.stdout, both.stderr) == ("out\n", "err\n")


def test_a_timeout_ends_the_whole_tree(system: Installed) -> None:
    job = """
name: tree
script: |
  #!/bin/sh
  sleep 1000 &
  setsid sleep 1000 &
  wait
timeout: 2s
"""
    system.cli("apply", "-f", "-", "--format", "yaml", stdin=job)
    before = time.monotonic()
    system.cli("run", "tree", "--wait", code=21)
    # Two seconds of the job, one for the end, one for starting the command itself.
    assert time.monotonic() - before < 4
    (execution,) = system.json("execution", "list", "--job", "tree")["data"]
    assert execution["state"] == "timed_out"
    assert execution["duration_ms"] < 3000
    assert processes_with(f"JOBS_EXECUTION_ID={execution['id']}") == []


def test_kill_ends_what_ignores_the_signal(system: Installed) -> None:
    job = """
name: stubborn
script: |
  #!/bin/sh
  trap '' TERM
  echo ready
  while :; do sleep 0.2; done
cancel: {grace: 1s}
"""
    system.cli("apply", "-f", "-", "--format", "yaml", stdin=job)
    id_ = system.cli("run", "stubborn", "-o", "name").stdout.strip()
    until(lambda: "ready" in system.cli("logs", id_).stdout, "the job to begin")
    before = time.monotonic()
    system.cli("kill", "stubborn")
    assert time.monotonic() - before < 3
    execution = system.execution(id_)
    assert execution["state"] == "cancelled"
    assert [one["signal"] for one in execution["receipt"]["signals"]] == [
        "TERM",
        "KILL",
    ]
    assert execution["receipt"]["survivors"] == []
    assert processes_with(f"JOBS_EXECUTION_ID={id_}") == []
    again = system.cli("kill", "stubborn", code=5)
    assert "not running" in again.stderr


def test_50_mib_of_random_bytes_are_kept_byte_for_byte(system: Installed) -> None:
    job = """
name: noise
command: head -c 52428800 /dev/urandom | tee noise.bin
limits: {output: 64MiB}
"""
    system.cli("apply", "-f", "-", "--format", "yaml", stdin=job)
    system.cli("run", "noise", "--wait")
    kept = system.root / "kept.bin"
    with kept.open("wb") as file:
        subprocess.run(
            [*CLI, "logs", "noise"], env=system.environment, stdout=file, check=True
        )
    (written,) = system.root.glob("w1/deployments/**/noise.bin")
    assert _digest(kept) == _digest(written)
    for process in system.started:
        assert _peak_mib(process.pid) < 200


def test_ids_work_by_prefix_and_ambiguity_is_told(system: Installed) -> None:
    id_ = system.cli("run", "-o", "name", "--wait", "--", "true").stdout.split()[-1]
    assert system.execution(id_[:8])["id"] == id_
    missing = system.cli("execution", "get", "ffffffff", code=3)
    assert "not found" in missing.stderr


def test_a_job_runs_in_a_clean_environment(
    system: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = system.cli("run", "--follow", "--", "env").stdout
    names = {line.partition("=")[0] for line in out.splitlines()}
    assert {"JOB_NAME", "WORKSPACE_ID", "PATH", "JOBS_EXECUTION_ID"} <= names
    assert "JOBS_GRPC_ADDR" not in names
    assert not names & {"VIRTUAL_ENV", "PYTEST_CURRENT_TEST"}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
