"""Seeing processes: with the kernel's lists of children, and without."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from jobs_grpc.worker.keeper.processes.tree import (
    ChildFinder,
    StartClock,
    deliver,
    look,
    open_pipes,
)


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with two children that have been seen to run."""
    text = "sleep 1000 & sleep 1000 & echo ready; wait"
    with subprocess.Popen(
        ["/bin/sh", "-c", text], stdout=subprocess.PIPE, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        yield shell
        os.killpg(shell.pid, signal.SIGKILL)


@pytest.mark.parametrize("has_lists", [True, False])
def test_children_and_descendants_are_found(
    family: subprocess.Popen[bytes], has_lists: bool
) -> None:
    finder = ChildFinder(has_lists=has_lists)
    assert family.pid in finder.own()
    found = finder.descendants([family.pid])
    assert found[0].pid == family.pid
    assert [process.parent for process in found[1:]] == [family.pid] * 2
    assert {process.session for process in found} == {family.pid}


def test_the_start_time_is_the_one_that_the_kernel_shows() -> None:
    for _ in range(50):
        clock = StartClock()
        pid = os.posix_spawn("/bin/true", ["true"], {})
        ticks = clock.ticks_of(pid)
        process = look(pid)
        os.waitpid(pid, 0)
        assert process is not None
        assert process.start_ticks == ticks
        assert look(pid) is None


def test_a_signal_reaches_nobody_but_the_process_that_was_seen(
    family: subprocess.Popen[bytes],
) -> None:
    process = look(family.pid)
    assert process is not None
    for wrong in (process.start_ticks - 1, process.start_ticks + 1):
        other = process._replace(start_ticks=wrong)
        assert not deliver(other, signal.SIGKILL)
    assert family.poll() is None
    assert deliver(process, signal.SIGKILL)
    assert family.wait(10) == -signal.SIGKILL
    assert not deliver(process, signal.SIGKILL)


def test_a_name_may_contain_anything() -> None:
    name = ") R 1 (a b"
    code = f"open('/proc/self/comm', 'w').write({name!r}); print(); input()"
    with subprocess.Popen(
        ["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = look(child.pid)
        assert process is not None
        assert (process.name, process.parent) == (name, os.getpid())
        inode = os.fstat(child.stdout.fileno()).st_ino
        assert f"pipe:[{inode}]" in open_pipes(child.pid)
        child.kill()
