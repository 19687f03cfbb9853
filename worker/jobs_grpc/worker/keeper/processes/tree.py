"""Processes as the kernel shows them: who they are, whose children, how to signal them.

A pid is a name that is given away again. A process is known here by pid *and* start time,
and it is signaled through a pidfd that was opened before the start time was compared, so
that no signal ever reaches a stranger.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
# More than the kernel's and our reading of one clock may differ by rounding.
_READING_NS: Final = 1_000
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Process(NamedTuple):
    """One process at one moment."""

    pid: int
    parent: int
    group: int
    session: int
    state: str
    threads: int
    start_ticks: int
    name: str

    @property
    def is_alive(self) -> bool:
        """Whether it still runs: a zombie without threads only waits for its parent."""
        return self.state not in "ZX" or self.threads > 1

    @property
    def is_stopped(self) -> bool:
        """Whether it can act on no signal before it is continued."""
        return self.state in "Tt"


def boot_id() -> str:
    """Return the identity of this boot: pids and start times mean nothing beyond it."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def look(pid: int) -> Process | None:
    """Return the process, or None when there is none of this pid."""
    data = _contents(f"/proc/{pid}/stat")
    if data is None:
        return None
    # The name stands in parentheses and may itself contain any of them.
    opening, closing = data.find(b"("), data.rfind(b")")
    fields = data[closing + 2 :].split(None, 20)
    return Process(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        state=fields[0].decode("ascii"),
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
        name=data[opening + 1 : closing].decode("utf-8", "replace"),
    )


class StartClock:
    """Tells the start time of a process that is being started, mostly for free.

    The kernel notes it, in ticks of 10 ms of the boot clock, between our two readings of
    the same clock; when both lie in one tick, that is it. Asking /proc instead costs
    80 to 220 µs for a process that is just loading its program.
    """

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def ticks_of(self, pid: int) -> int:
        """Return the start time of a process that started since; it is not reaped."""
        ticks = (self._before - _READING_NS) // _TICK_NS
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if (now + _READING_NS) // _TICK_NS == ticks:
            return ticks
        process = look(pid)
        return process.start_ticks if process is not None else 0


def everyone() -> Iterator[int]:
    """Yield the pid of every process on the host that can be seen."""
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                yield int(entry.name)


def environment(pid: int) -> list[bytes]:
    """Return ``NAME=value`` items of the environment that the program started with."""
    return (_contents(f"/proc/{pid}/environ") or b"").split(b"\0")


def open_pipes(pid: int) -> set[str]:
    """Return what standard input, output and error are, as ``pipe:[123]``."""
    found = set()
    for number in range(3):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{number}"))  # noqa: PTH115 - a magic link
        except OSError:
            continue
    return found


class ChildFinder:
    """Finds children: by the kernel's lists, or on kernels without them by a scan.

    The list of our own children is exact, because it shrinks only when we reap. That of
    another process may miss one while siblings are being reaped; callers look again.
    """

    def __init__(self, *, has_lists: bool | None = None) -> None:
        own = f"/proc/self/task/{threading.get_native_id()}/children"
        if has_lists is None:
            has_lists = Path(own).exists()
        # Orphans are given to the main thread, the only one that starts processes.
        self._own = os.open(own, os.O_RDONLY | os.O_CLOEXEC) if has_lists else -1

    def own(self) -> list[int]:
        """Return the pids of our children, zombies included."""
        if self._own < 0:
            return _scan().get(os.getpid(), [])
        size = 1 << 14
        while len(data := os.pread(self._own, size, 0)) == size:
            size *= 4
        return [int(pid) for pid in data.split()]

    def descendants(
        self,
        roots: Iterable[int],
        visit: Callable[[Process], None] | None = None,
    ) -> list[Process]:
        """Return the living processes among `roots` and everything below them.

        `visit` is called for each before its children are looked for.
        """
        table = None if self._own >= 0 else _scan()
        found: dict[int, Process] = {}
        waiting = deque(roots)
        while waiting:
            pid = waiting.popleft()
            process = None if pid in found else look(pid)
            if process is None:
                continue
            found[pid] = process
            if visit is not None and process.is_alive:
                visit(process)
            waiting.extend(_children(pid) if table is None else table.get(pid, ()))
        return [process for process in found.values() if process.is_alive]


def deliver(process: Process, number: int) -> bool:
    """Send a signal to exactly this process; False when it is gone or not ours."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:  # a kernel before 5.3: a small window remains
        return is_same(process) and _kill(process.pid, number)
    try:
        if not is_same(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True


def is_same(process: Process) -> bool:
    """Whether the pid still belongs to the process that was seen, and it lives."""
    now = look(process.pid)
    return now is not None and now.start_ticks == process.start_ticks and now.is_alive


def _kill(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names are enough
    except OSError:
        return found
    for thread in threads:
        data = _contents(f"/proc/{pid}/task/{thread}/children")
        found.extend(int(child) for child in (data or b"").split())
    return found


def _scan() -> dict[int, list[int]]:
    table: dict[int, list[int]] = {}
    for pid in everyone():
        process = look(pid)
        if process is not None:
            table.setdefault(process.parent, []).append(pid)
    return table


def _contents(path: str) -> bytes | None:
    """Return a file of /proc; None when the process is gone or not ours to see."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(descriptor, 4096)
        if len(data) < 4096:
            return data
        parts = [data]
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    except OSError:  # it went between the two calls
        return None
    finally:
        os.close(descriptor)
