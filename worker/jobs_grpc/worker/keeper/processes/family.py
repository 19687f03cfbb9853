"""Which processes belong to which attempt, and how to signal all of them.

The keeper is a subreaper: a descendant of a job cannot leave its subtree, whatever groups
and sessions it makes. When the parents between die, the kernel gives the orphan to the
keeper. So everything an attempt ever started is below its main process or below an orphan
that this module has assigned to it, and one cheap look at the keeper's own children tells
whether there are any.

An orphan is assigned once, by the first of these that says something:

1. the control group of the attempt that it is in, where there are any (`cgroup`);
2. the marker of the attempt in its environment;
3. its session, if it still is that of the main process;
4. the output pipe of the attempt that it holds;
5. being the child of the only attempt there is.

What none of them can place is a stray. It is a descendant of some job, therefore it is
ended when the last attempt has ended, not before: it may belong to any of them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from jobs_grpc.worker.keeper.cgroup import Cgroups
from jobs_grpc.worker.keeper.processes.tree import (
    ChildFinder,
    Process,
    deliver,
    environment,
    look,
    open_pipes,
)

# A tree that makes orphans faster than this is met again by the next sweep.
_MOST_ROUNDS: Final = 10
KEEPER_VARIABLE: Final = "JOBS_KEEPER"


@dataclass(slots=True)
class Member:
    """What is known of a running attempt's place in the tree."""

    main: int
    marker: bytes
    outputs: tuple[int, ...]
    orphans: set[int]
    main_is_unreaped: bool = True


class Family:
    """The keeper's children, by attempt."""

    def __init__(
        self,
        keeper_id: str,
        *,
        finder: ChildFinder | None = None,
        cgroups: Cgroups | None = None,
    ) -> None:
        self._cgroups = cgroups
        self._badge = f"{KEEPER_VARIABLE}={keeper_id}".encode()
        self._finder = finder or ChildFinder()
        self._members: dict[int, Member] = {}
        self._mains: dict[int, int] = {}
        self._markers: dict[bytes, int] = {}
        self._orphans: dict[int, int | None] = {}

    def add(self, fence: int, main: int, marker: bytes, outputs: Iterable[int]) -> None:
        """Note the main process of a new attempt, and its output pipes."""
        self._members[fence] = Member(main, marker, tuple(outputs), set())
        self._mains[main] = fence
        self._markers[marker] = fence
        if self._cgroups is not None:
            self._cgroups.enter(fence, main)

    def remove(self, fence: int) -> None:
        """Forget an attempt that has ended; what it left becomes stray."""
        member = self._members.pop(fence)
        if self._cgroups is not None:
            self._cgroups.leave(fence)
        self._markers.pop(member.marker, None)
        if member.main_is_unreaped:
            del self._mains[member.main]
            member.orphans.add(member.main)
        for pid in member.orphans:
            self._orphans[pid] = None

    def reaped(self, pid: int) -> tuple[int | None, bool]:
        """Note that a child is gone; return its attempt and whether it was the main."""
        fence = self._mains.pop(pid, None)
        if fence is not None:
            self._members[fence].main_is_unreaped = False
            return fence, True
        fence = self._orphans.pop(pid, None)
        if fence is not None:
            self._members[fence].orphans.discard(pid)
        return fence, False

    def take_in(self) -> None:
        """Assign the orphans that have come since the last call."""
        children = self._finder.own()
        if len(children) == len(self._mains) + len(self._orphans):
            return
        for pid in children:
            if pid not in self._mains and pid not in self._orphans:
                process = look(pid)
                if process is not None and process.is_alive:
                    self._assign(process)

    def has_leftovers(self, fence: int) -> bool:
        """Whether orphans of the attempt live, as of the last `take_in`."""
        return bool(self._members[fence].orphans)

    def living(self, fence: int) -> list[Process]:
        """Return every living process of the attempt."""
        self.take_in()
        return self._finder.descendants(self._roots(fence))

    def signal(self, fence: int, number: int) -> list[Process]:
        """Send a signal to the whole tree; return the processes that it had before.

        Nothing that was forked before the signal is missed. The group of a main process
        that was not reaped gets it in one atomic call; any other process gets it before
        its children are listed, so that a child is either listed or was forked by
        somebody who had the signal already; and orphans that were made meanwhile are
        taken in until there are no more. What a job starts in answer to the signal (a
        clean-up) is not a part of this, as far as it can be told.
        """
        processes = self.living(fence)
        member = self._members[fence]
        group = member.main if member.main_is_unreaped else None
        if number == signal.SIGKILL and self._cgroups is not None:
            self._cgroups.kill(fence)
        if group is not None:
            _signal_group(group, number)

        def visit(process: Process) -> None:
            if process.group != group:
                deliver(process, number)

        met: set[int] = set()
        for _ in range(_MOST_ROUNDS):
            roots = set(self._roots(fence)) - met
            if not roots:
                break
            self._finder.descendants(roots, visit)
            met |= roots
            self.take_in()
        return processes

    def _roots(self, fence: int) -> list[int]:
        member = self._members[fence]
        own = [member.main] if member.main_is_unreaped else []
        return own + list(member.orphans)

    def end_strays(self) -> int:
        """Kill the orphans that no attempt owns; only when there is no attempt."""
        if self._members or not self._orphans:
            return 0
        processes = self._finder.descendants(self._orphans)
        return sum(deliver(process, signal.SIGKILL) for process in processes)

    def _assign(self, process: Process) -> None:
        fence = self._owner(process)
        self._orphans[process.pid] = fence
        if fence is not None:
            self._members[fence].orphans.add(process.pid)

    def _owner(self, process: Process) -> int | None:
        if self._cgroups is not None:
            fence = self._cgroups.owner(process.pid)
            if fence in self._members:
                return fence
        items = environment(process.pid)
        if self._badge in items:
            for item in items:
                if item in self._markers:
                    return self._markers[item]
        for fence, member in self._members.items():
            if process.session == member.main:
                return fence
        held = open_pipes(process.pid)
        for fence, member in self._members.items():
            if not held.isdisjoint(map(_pipe_name, member.outputs)):
                return fence
        return next(iter(self._members)) if len(self._members) == 1 else None


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or all of it set-uid: the receipt will name survivors


def _pipe_name(descriptor: int) -> str:
    try:
        return f"pipe:[{os.fstat(descriptor).st_ino}]"
    except OSError:  # closed already
        return ""
