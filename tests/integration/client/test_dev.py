"""`jobs-grpc dev`: its children, and the whole of it with the real daemons."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest

from jobs_grpc.client.cli.daemons.children import Child, stop
from support.cli import Cli, jobs_grpc

POLITE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("one", "two", sep="\\n", file=sys.stderr, flush=True)
signal.pause()
"""
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", file=sys.stderr, flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two modules that stand for daemons."""
    (tmp_path / "polite_daemon.py").write_text(POLITE)
    (tmp_path / "stubborn_daemon.py").write_text(STUBBORN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


async def said_something(child: Child) -> None:
    """Wait until the daemon has said that it is there."""
    async with asyncio.timeout(10):
        # What it says arrives by a pipe; there is nothing else to wait for.
        while not child.last_lines:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("daemons")
async def test_children_that_listen_end_at_once(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    child = Child("server", "polite_daemon", [])
    await child.start()
    forward = asyncio.create_task(child.forward())
    await said_something(child)
    await stop([child])
    await forward
    assert child.returncode == 0
    assert list(child.last_lines) == [b"one", b"two"]
    assert capfdbinary.readouterr().err == b"one\ntwo\n"


@pytest.mark.usefixtures("daemons")
async def test_children_that_do_not_listen_are_killed_within_the_second() -> None:
    child = Child("worker", "stubborn_daemon", [])
    await child.start()
    forward = asyncio.create_task(child.forward())
    await said_something(child)
    start = time.monotonic()
    await stop([child])
    assert time.monotonic() - start < 1
    await forward
    assert child.returncode == -9


def test_an_address_in_use_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = jobs_grpc("dev", "--addr", address)
    assert ended.code == 1
    assert f"cannot listen on {address}" in ended.err
    assert "--addr 127.0.0.1:0" in ended.err


@pytest.mark.acceptance
async def test_dev_runs_a_job_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path)}
    async with Cli("dev", "--addr", "127.0.0.1:0", env=env) as dev:
        ready = (await dev.line()).decode()
        assert "Not for production" in ready
        address = ready.split(" at ")[1].split(". ")[0]
        async with Cli("run", "--follow", "--", "echo", "hello", addr=address) as run:
            ended = await run.ended()
        assert (ended.code, ended.out) == (0, "hello\n"), ended.err
        async with Cli("run", "-o", "name", "--", "sleep", "600", addr=address) as run:
            assert (await run.ended()).code == 0
        start = time.monotonic()
        dev.interrupt()
        ended = await dev.ended()
        assert time.monotonic() - start < 3
    assert ended.code == 0
    assert list(tmp_path.iterdir()) == []
    assert not processes_with(str(tmp_path))


@pytest.mark.acceptance
async def test_dev_repeats_the_last_words_of_a_daemon_that_died() -> None:
    arguments = ("dev", "--addr", "127.0.0.1:0", "--functions", "no_such_module")
    async with Cli(*arguments) as dev:
        ended = await dev.ended()
    assert ended.code == 1
    assert "error: the worker ended with exit code" in ended.err
    assert "no_such_module" in ended.err.rsplit("it said:", 1)[1]


def processes_with(word: str) -> list[str]:
    """Return the command lines of running processes that contain a word."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if word in line and folder.name != str(os.getpid()):
            lines.append(line)
    return lines
