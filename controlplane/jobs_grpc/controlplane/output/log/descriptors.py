"""Open files of the logs that are being written, a bounded number of them.

A busy log keeps its file open from flush to flush; the one unused longest is closed when
the limit is reached. A borrowed file is never closed, so at most `limit` plus one for each
flushing thread are open at any time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs_grpc.controlplane.output.log.disk import Disk


class Descriptors:
    """Safe to share between threads; no file is borrowed by two at once."""

    def __init__(self, disk: Disk, *, limit: int) -> None:
        self._disk = disk
        self._limit = limit
        self._idle: OrderedDict[Path, int] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self, path: Path) -> Iterator[int]:
        """Lend the file, opened for writing; after an error it is closed."""
        with self._lock:
            descriptor = self._idle.pop(path, None)
        if descriptor is None:
            descriptor = self._disk.open_to_write(path)
        try:
            yield descriptor
        except BaseException:
            self._disk.close(descriptor)
            raise
        self._give_back(path, descriptor)

    def discard(self, path: Path) -> None:
        """Close the file if it is open."""
        with self._lock:
            descriptor = self._idle.pop(path, None)
        if descriptor is not None:
            self._disk.close(descriptor)

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            descriptors = list(self._idle.values())
            self._idle.clear()
        for descriptor in descriptors:
            self._disk.close(descriptor)

    def __len__(self) -> int:
        return len(self._idle)

    def _give_back(self, path: Path, descriptor: int) -> None:
        surplus = []
        with self._lock:
            self._idle[path] = descriptor
            while len(self._idle) > self._limit:
                surplus.append(self._idle.popitem(last=False)[1])
        for stale in surplus:
            self._disk.close(stale)
