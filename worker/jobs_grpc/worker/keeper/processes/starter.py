"""How a session process starts a keeper.

By exec and never by fork, which gRPC's threads would not survive; in a session of its own,
so that no signal meant for us reaches it; with its output in ``keeper.log``. It is our
child all the same: when it leaves while we live, somebody has to collect it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

from jobs_grpc.worker.keeper.memory.journal import CAPACITY_BYTES

# The exit code of a keeper that found another one at work: connect to that one.
_TAKEN: Final = 3
# That of one whose disk is full; it may not have been able to write it down.
_NO_ROOM: Final = 4
# What is shown of the log when a keeper does not start.
_LOG_BYTES: Final = 2000
_LOG_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND
# Keepers that this process started and that live, as far as it knows; and how others
# ended. A keeper that leaves while we live would stay a zombie if nobody asked.
_FORMER: Final[list[int]] = []
_CODES: Final[dict[int, int]] = {}


class KeeperDiedError(Exception):
    """A keeper ended with an error as soon as it was started."""


class Starter:
    """Starts a keeper, at most one at a time, and collects those that ended."""

    def __init__(self, root: Path, python: str, idle_exit_seconds: float) -> None:
        self._root = root.absolute()
        self._log = self._root / "keeper.log"
        self._command = [
            python,
            # Neither the current directory nor the locale may change what it is.
            *("-P", "-X", "utf8", "-m", "jobs_grpc.worker.keeper"),
            *("--root", str(self._root), "--idle-exit", str(idle_exit_seconds)),
        ]
        self._pid = 0

    def start(self) -> None:
        """Start a keeper unless one that we started still tries.

        Raises:
            KeeperDiedError: the last one ended with an error.
        """
        _reap_former()
        if self._pid and not self._ended():
            return
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._pid = os.posix_spawn(
            self._command[0],
            self._command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self._log), _LOG_FLAGS, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
        _FORMER.append(self._pid)

    def settle_for(self, pid: int) -> None:
        """Withdraw the keeper that was started if another one was faster."""
        if self._pid in _FORMER and self._pid != pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)

    def last_words(self) -> str:
        """Return the end of the keeper's log, to be put behind an error."""
        try:
            data = self._log.read_bytes()
        except OSError:
            return ""
        if len(data) > _LOG_BYTES:  # from the first line that is whole
            data = data[-_LOG_BYTES:].partition(b"\n")[2]
        text = data.decode("utf-8", "replace")
        return f"; its log ends:\n{text}" if text.strip() else ""

    def _ended(self) -> bool:
        if self._pid in _FORMER:
            return False
        code = _CODES.pop(self._pid, 0)
        if code == _NO_ROOM:
            raise KeeperDiedError(
                f"the disk of {self._root} is full: the keeper's journal takes"
                f" {CAPACITY_BYTES >> 20} MiB of it; make room, or give the worker"
                " another directory with --data"
            )
        if code not in (0, _TAKEN):
            raise KeeperDiedError(f"the keeper ended with {code}{self.last_words()}")
        return True


def _reap_former() -> None:
    for pid in tuple(_FORMER):
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody else waits for all children
            found, status = pid, 0
        if found:
            _FORMER.remove(pid)
            _CODES[pid] = os.waitstatus_to_exitcode(status)
