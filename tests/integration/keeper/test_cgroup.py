"""Control groups of attempts, where this system has version 2 and lets us make some."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.keeper.house import House, exited, is_alive, until
from jobs_grpc.worker.keeper.cgroup import Cgroups, own_group
from jobs_grpc.worker.keeper.processes.family import Family
from jobs_grpc.worker.keeper.processes.tree import look

# Forks and leaves its session, its parent and its environment behind.
HIDES = "env -i setsid sh -c 'sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > PLACE'"


def wait_for(fact: Callable[[], bool]) -> None:
    """Wait for what the helper thread or the kernel does."""
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def groups() -> Iterator[Cgroups]:
    found = Cgroups.find(f"test{uuid.uuid4().hex}")
    if found is None:
        pytest.skip("needs a cgroup (version 2) that this user may write")
    yield found
    found.close()


def test_one_call_ends_everything_in_a_group(groups: Cgroups) -> None:
    with subprocess.Popen(["/bin/sh", "-c", "read x; sleep 1000 & sleep 1000 & wait"],
                          stdin=subprocess.PIPE) as child:  # fmt: skip
        groups.enter(7, child.pid)
        wait_for(lambda: groups.has(7))
        assert groups.members(7) == [child.pid]
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
        wait_for(lambda: len(groups.members(7)) == 3)
        for pid in groups.members(7):
            assert groups.owner(pid) == 7
        assert groups.owner(os.getpid()) is None
        assert groups.kill(7)
        assert child.wait(10) == -signal.SIGKILL
        wait_for(lambda: not groups.members(7))
    groups.leave(7)
    wait_for(lambda: not groups.kill(7))


def test_what_was_forked_before_is_moved_too(groups: Cgroups) -> None:
    text = "sleep 1000 & (setsid sleep 1000 & wait) & wait"
    with subprocess.Popen(["/bin/sh", "-c", text]) as child:
        groups.enter(9, child.pid)
        wait_for(lambda: len(groups.members(9)) == 4)
        assert groups.kill(9)
        child.wait(10)


def test_a_process_that_ended_at_once_costs_no_group(groups: Cgroups) -> None:
    with subprocess.Popen(["/bin/true"]) as child:
        groups.enter(8, child.pid)
        child.wait()
        groups.leave(8)
    assert not groups.kill(8)
    assert not groups.has(8)


def test_an_orphan_that_hides_is_known_by_its_group(groups: Cgroups) -> None:
    class Finder:
        def own(self) -> list[int]:
            return [child.pid, other.pid, hidden.pid]

    family = Family("nobody", finder=Finder(), cgroups=groups)  # type: ignore[arg-type]
    with (
        subprocess.Popen(["/bin/sleep", "1000"], env={}) as child,
        subprocess.Popen(["/bin/sleep", "1000"], env={}) as other,
        subprocess.Popen(["/bin/sleep", "1000"], env={}) as hidden,
    ):
        try:
            family.add(1, child.pid, b"A=1", ())
            family.add(2, other.pid, b"A=2", ())
            groups.leave(2)  # its main process is none of this test
            groups.enter(2, hidden.pid)
            wait_for(lambda: groups.owner(hidden.pid) == 2)
            family.take_in()
            assert family.has_leftovers(2)
            assert not family.has_leftovers(1)
        finally:
            for process in (child, other, hidden):
                process.kill()


async def test_what_hides_from_a_killed_keeper_is_ended_by_the_next(
    own_house: House, tmp_path: Path
) -> None:
    if Cgroups.find("probe") is None:
        pytest.skip("needs a cgroup (version 2) that this user may write")
    link = await own_house.open()
    place = tmp_path / "hidden"
    hides = HIDES.replace("PLACE", str(place))
    request = own_house.script(f"sleep 0.3; {hides}; echo ready; sleep 1000")
    await link.start(request)
    await own_house.until_output(link, request.fence, b"ready")
    await until(lambda: place.exists() and place.read_text().strip().isdigit())
    hidden = int(place.read_text())
    keeper = os.pidfd_open(link.welcome.pid)
    os.kill(link.welcome.pid, signal.SIGKILL)
    await exited(keeper)
    assert is_alive(hidden)
    again = await own_house.open()
    (status,) = await again.list()
    assert status.record is not None
    await until(lambda: not is_alive(hidden))


def test_what_systemd_did_not_give_away_is_not_used(tmp_path: Path) -> None:
    own = tmp_path / "system.slice" / "a.service"
    own.mkdir(parents=True)
    (tmp_path / "system.slice" / "cgroup.procs").touch()
    assert Cgroups.find("x", own=own, is_root=True) is None
    assert Cgroups.find("x", own=own, is_root=False) is None, "no kernel files in it"
    assert list(own.iterdir()) == []


def test_where_this_process_is(tmp_path: Path) -> None:
    own = own_group()
    if own is None:
        pytest.skip("this system has no cgroup of version 2")
    assert str(os.getpid()) in (own / "cgroup.procs").read_text().split()
    assert look(os.getpid()) is not None
