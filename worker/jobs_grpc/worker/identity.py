"""Who this worker is, across restarts: its id, its session, the highest term it saw.

One data directory is one worker. The directory is locked while a process serves it: two
daemons on one directory would share an identity, and each would believe that the other's
attempts are its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from pathlib import Path

_ID = "worker-id"
_SESSION = "session.json"
_LOCK = "worker.lock"


class DirectoryTakenError(Exception):
    """Another worker serves this data directory."""

    def __init__(self, directory: Path, pid: str) -> None:
        owner = f" (pid {pid})" if pid else ""
        super().__init__(
            f"another worker{owner} runs on {directory}; give each worker a directory of"
            " its own with --data"
        )


class DirectoryUnusableError(Exception):
    """The data directory cannot be read or written."""

    def __init__(self, directory: Path, error: OSError) -> None:
        super().__init__(f"cannot use the data directory {directory}: {error}")


class Identity:
    """The identity in a data directory. `take` it first, `release` it last."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = -1
        self.worker_id = ""
        # Empty until the first welcome.
        self.session_id = ""
        self.highest_term = 0

    def take(self) -> None:
        """Become the only process of this directory; read or mint the identity.

        Raises:
            DirectoryTakenError: another process was first.
            DirectoryUnusableError: it cannot be read or written.
        """
        try:
            self._take()
        except OSError as error:
            raise DirectoryUnusableError(self._directory, error) from error

    def _take(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._directory / _LOCK, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DirectoryTakenError(self._directory, pid) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._lock = descriptor
        self._read()

    def welcomed(self, session_id: str, term: int) -> None:
        """Remember the session and the term; a restarted process resumes both."""
        if (session_id, term) != (self.session_id, self.highest_term):
            self.session_id = session_id
            self.highest_term = max(term, self.highest_term)
            facts = {"session_id": session_id, "highest_term": self.highest_term}
            self._write(_SESSION, json.dumps(facts))

    def ended(self) -> None:
        """The session was ended on purpose: the next start opens a new one."""
        self.session_id = ""
        facts = {"session_id": "", "highest_term": self.highest_term}
        self._write(_SESSION, json.dumps(facts))

    def release(self) -> None:
        """Let another process have the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _read(self) -> None:
        path = self._directory / _ID
        with contextlib.suppress(FileNotFoundError):
            self.worker_id = path.read_text(encoding="ascii").strip()
        if not self.worker_id:
            self.worker_id = str(uuid.uuid4())
            self._write(_ID, self.worker_id + "\n")
        # A damaged file costs a new session, and the leader still judges every attempt.
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            facts = json.loads((self._directory / _SESSION).read_text("utf-8"))
            session_id, term = str(facts["session_id"]), int(facts["highest_term"])
            self.session_id, self.highest_term = session_id, term

    def _write(self, name: str, text: str) -> None:
        """Replace a file as a whole, durably."""
        path = self._directory / name
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
