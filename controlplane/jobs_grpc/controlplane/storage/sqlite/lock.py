"""One process per data directory, by a lock of the operating system.

The lock dies with the process that holds it, so a killed server leaves nothing to clean.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from jobs_grpc.controlplane.storage.store import StoreHeldError


class DirectoryLock:
    """An exclusive lock on `<directory>/lock`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise `StoreHeldError` naming the holder."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 64).decode(errors="replace").strip()
            os.close(descriptor)
            raise StoreHeldError(
                f"the data directory {self._path.parent} is in use by another server"
                f" (process {holder or 'unknown'}); stop it, or give this one"
                " another --data"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; harmless if not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
