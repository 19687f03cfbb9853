"""The keeper's root directory: whose it is, where things lie, how it is reached.

::

    <root>/                0700
      keeper.lock          held while a keeper lives; its pid
      keeper.sock          where it listens
      keeper.log           what it could not tell anybody else
      id                   names the root in the environment of its jobs
      journal              see journal.py
      attempts/<fence>/    made when needed; the caller may put more into it
        spool              see spool.py
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# The kernel's limit for the path of a Unix socket, less the final null byte.
_LONGEST_SOCKET_PATH: Final = 107
# More than the product itself puts into an attempt's directory.
_FEW_ENTRIES: Final = 16


class RootTakenError(Exception):
    """Another keeper serves this root."""

    def __init__(self, root: Path, pid: str) -> None:
        super().__init__(f"another keeper (pid {pid}) already serves {root}")
        self.root = root
        self.pid = pid


class Root:
    """One keeper's directory; `take` it before anything else is touched."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.journal = self.path / "journal"
        self._attempts = self.path / "attempts"
        self._lock = self.path / "keeper.lock"
        self._lock_descriptor = -1

    def take(self) -> None:
        """Become the only keeper of this root, or raise `RootTakenError`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Jobs' output and exit records are nobody else's business.
        self.path.chmod(0o700)
        self._attempts.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise RootTakenError(self.path, pid or "unknown") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._lock_descriptor = descriptor

    def is_still_there(self) -> bool:
        """Whether anybody could find this keeper: the directory was not removed."""
        try:
            found = self._lock.stat()
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self._lock_descriptor))

    def identity(self) -> str:
        """Return the random name of this root, made once."""
        path = self.path / "id"
        with contextlib.suppress(FileNotFoundError):
            found = path.read_text(encoding="ascii").strip()
            if found:
                return found
        made = os.urandom(8).hex()
        path.write_text(made + "\n", encoding="ascii")
        return made

    def attempt(self, fence: int) -> str:
        """Return the directory of an attempt; it need not exist."""
        return f"{self._attempts}/{fence}"

    def spool(self, fence: int) -> Path:
        """Return the file with the output of an attempt; it need not exist."""
        return Path(self.attempt(fence), "spool")

    def listen(self) -> socket.socket:
        """Open the socket; whatever lies there is stale, for the lock is ours."""
        (self.path / "keeper.sock").unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with socket_path(self.path) as path:
            listener.bind(path)
        listener.listen(64)
        listener.setblocking(False)
        return listener

    def release(self) -> None:
        """Stop being reachable, then let the next keeper in."""
        (self.path / "keeper.sock").unlink(missing_ok=True)
        os.close(self._lock_descriptor)


@contextlib.contextmanager
def socket_path(root: Path) -> Iterator[str]:
    """Yield a path of the root's socket that is short enough for the kernel."""
    path = str(root.absolute() / "keeper.sock")
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        yield path
        return
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/keeper.sock"
    finally:
        os.close(descriptor)


def remove_directory(path: str) -> None:
    """Remove the directory of an attempt; a large one takes a thread of its own.

    The ordinary one (spool, script, an empty output directory) is gone on return. Links
    are removed, never followed.
    """
    try:
        with os.scandir(path) as entries:
            names = [
                entry for entry, _ in zip(entries, range(_FEW_ENTRIES), strict=False)
            ]
    except OSError:
        return  # an attempt without output has no directory
    try:
        for entry in names:
            _remove_entry(entry)
        os.rmdir(path)  # noqa: PTH106 - a Path object costs more than the call
    except OSError:
        threading.Thread(target=_remove_tree, args=(path,), daemon=True).start()


def _remove_entry(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        os.rmdir(entry.path)  # noqa: PTH106
    else:
        os.unlink(entry.path)  # noqa: PTH108


def _remove_tree(path: str) -> None:
    import shutil  # a megabyte that most keepers never need

    shutil.rmtree(path, ignore_errors=True)
