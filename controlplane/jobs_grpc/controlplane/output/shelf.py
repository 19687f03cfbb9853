"""The logs that are known in memory, a bounded number of them.

A log that nobody uses and that was used longest ago is forgotten: the next use reads its
end from the file again. A log in use is never forgotten, so there are never two objects
for one file that is being written.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs_grpc.controlplane.output.log.attempt import AttemptLog
from jobs_grpc.controlplane.output.log.disk import Disk
from jobs_grpc.controlplane.output.records import LogKey


@dataclass(slots=True)
class _Entry:
    log: AttemptLog
    users: int = 0


class Shelf:
    """Safe to share between threads."""

    def __init__(self, root: Path, disk: Disk, *, limit: int) -> None:
        self._root = root
        self._disk = disk
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[LogKey, _Entry] = OrderedDict()

    def path_of(self, key: LogKey) -> Path:
        """Return where the log lives: spread over directories by its first letters."""
        return self._root / key.execution_id[:2] / key.file_name

    @contextmanager
    def using(self, key: LogKey) -> Iterator[AttemptLog]:
        """Lend the log; it stays known at least as long."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                log = AttemptLog(key, self.path_of(key), self._disk)
                entry = self._entries[key] = _Entry(log)
            self._entries.move_to_end(key)
            entry.users += 1
        try:
            yield entry.log
        finally:
            with self._lock:
                entry.users -= 1
                self._forget_surplus()

    def remove(self, execution_id: str) -> None:
        """Forget every log of an execution, whoever uses it."""
        with self._lock:
            doomed = [key for key in self._entries if key.execution_id == execution_id]
            for key in doomed:
                del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def _forget_surplus(self) -> None:
        surplus = len(self._entries) - self._limit
        if surplus <= 0:
            return
        stale: list[LogKey] = []
        for key, entry in self._entries.items():
            if entry.users == 0 and entry.log.may_be_forgotten:
                stale.append(key)
                if len(stale) == surplus:
                    break
        for key in stale:
            del self._entries[key]
