"""Control groups (version 2), where one is delegated: nobody leaves one, one call ends all.

Each attempt gets a group of its own below the keeper's. What a job starts is born in its
group, whatever sessions it makes, whoever its parent becomes and however it cleans its
environment; so the group says whose a process is, and ``cgroup.kill`` ends a tree that
forks faster than it can be read.

Where there is none (version 1, a container that may not write, a service without
``Delegate=yes``) everything works as well as processes can be followed without: by parent,
session and marker. See `processes.family`.

The kernel moves a process into a group in up to 20 ms (measured), while nobody forks. So only
what has lived for a moment gets a group, in a helper thread: commands that are over at once
cost nothing. What a job has forked before is moved after it; should something escape in that
moment, it is found as without a group.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

from jobs_grpc.worker.keeper.processes.tree import ChildFinder

logger = logging.getLogger(__name__)

# Younger attempts have no group: most of them are over by then.
GROWN_UP_SECONDS: Final = 0.1
_LONGEST_WAIT: Final = 60.0
_NEVER: Final = float("inf")
_ROOT_FILES: Final = ("cgroup.procs", "cgroup.kill")
# How systemd marks what it has given away, for its own units and for those of users.
_DELEGATED: Final = ("trusted.delegate", "user.delegate")


class Cgroups:
    """The groups of one keeper's attempts, in a directory of their own."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._mark = f"/{base.name}/"
        self._finder = ChildFinder()
        # Attempts that get a group when they live at that instant, in its order; and
        # those that have ended and had one.
        self._young: dict[int, tuple[int, float]] = {}
        self._over: deque[int] = deque()
        self._grouped: set[int] = set()
        self._changed = threading.Condition()
        threading.Thread(target=self._work, daemon=True).start()

    @classmethod
    def find(
        cls, keeper_id: str, *, own: Path | None = None, is_root: bool | None = None
    ) -> Cgroups | None:
        """Return the groups of this keeper, None where none can be made.

        `own` is the group that this process is in.
        """
        own = own or own_group()
        if own is None:
            return None
        if is_root is None:
            is_root = os.geteuid() == 0
        # Root may write everywhere; what systemd has not given away is not ours.
        is_below = (own.parent / "cgroup.procs").exists()
        if is_root and is_below and not any(_has_mark(own, one) for one in _DELEGATED):
            return None
        base = own / f"jobs-grpc-{keeper_id[:16]}"
        try:
            base.mkdir(exist_ok=True)
            if not all((base / name).exists() for name in _ROOT_FILES):
                base.rmdir()
                return None
        except OSError:
            return None
        return cls(base)

    def enter(self, fence: int, pid: int) -> None:
        """Give an attempt a group if its main process lives a moment longer."""
        with self._changed:
            self._young[fence] = (pid, time.monotonic() + GROWN_UP_SECONDS)
            self._changed.notify()

    def leave(self, fence: int) -> None:
        """Remove the group of an attempt that has ended, soon."""
        with self._changed:
            if self._young.pop(fence, None) is None:
                self._over.append(fence)
                self._changed.notify()

    def kill(self, fence: int) -> bool:
        """Send KILL to everything in the group at once; False where there is no group."""
        try:
            (self._base / str(fence) / "cgroup.kill").write_bytes(b"1")
        except OSError:
            return False
        return True

    def members(self, fence: int) -> list[int]:
        """Return the processes of the group."""
        try:
            text = (self._base / str(fence) / "cgroup.procs").read_text()
        except OSError:
            return []
        return [int(pid) for pid in text.split()]

    def owner(self, pid: int) -> int | None:
        """Return the attempt in whose group a process is."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                if line.startswith("0::"):
                    _, mark, rest = line.partition(self._mark)
                    name = rest.partition("/")[0]
                    return int(name) if mark and name.isdigit() else None
        return None

    def has(self, fence: int) -> bool:
        """Whether the attempt has a group now."""
        return fence in self._grouped

    def close(self) -> None:
        """Remove what is empty; the next keeper finds the rest."""
        with self._changed:
            self._young.clear()
        with contextlib.suppress(OSError):
            for group in self._base.iterdir():
                if group.is_dir():
                    self._remove_group(group)
            self._base.rmdir()

    def _work(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            try:
                self.run_once()
            except Exception:
                logger.exception("an order about a control group failed")

    def run_once(self) -> None:
        """Wait for an order that is due, and carry it out. The helper thread only."""
        with self._changed:
            while not self._over:
                fence, (pid, due) = next(iter(self._young.items()), (0, (0, _NEVER)))
                left = due - time.monotonic()
                if left <= 0:
                    del self._young[fence]
                    break
                self._changed.wait(min(left, _LONGEST_WAIT))
            else:
                fence, pid = self._over.popleft(), 0
        if pid:
            self._enter(fence, pid)
        else:
            self._grouped.discard(fence)
            self._remove_group(self._base / str(fence))

    def _enter(self, fence: int, pid: int) -> None:
        group = self._base / str(fence)
        try:
            group.mkdir(exist_ok=True)
            moved: set[int] = set()
            # What it has forked so far, until nothing is found that is not in.
            while left := ({pid} | self._descendants(pid)) - moved:
                for each in left:
                    moved.add(each)
                    with contextlib.suppress(ProcessLookupError):
                        (group / "cgroup.procs").write_bytes(b"%d" % each)
        except OSError as error:
            logger.warning("attempt %d has no control group: %s", fence, error.strerror)
        else:
            self._grouped.add(fence)

    def _descendants(self, pid: int) -> set[int]:
        return {process.pid for process in self._finder.descendants([pid])}

    def _remove_group(self, group: Path) -> None:
        with contextlib.suppress(OSError):  # a survivor is in it
            group.rmdir()


def own_group() -> Path | None:
    """Return the group (version 2) that this process is in, None where there is none."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    path = next((line[3:] for line in lines if line.startswith("0::")), None)
    for line in mounts:
        fields, _, kind = line.partition(" - ")
        if kind.split()[0] != "cgroup2" or path is None:
            continue
        root, place = fields.split()[3:5]
        if path == root or path.startswith(root.rstrip("/") + "/"):
            return Path(place) / path.removeprefix(root.rstrip("/")).lstrip("/")
    return None


def _has_mark(group: Path, name: str) -> bool:
    try:
        return os.getxattr(group, name) == b"1"
    except OSError:
        return False
