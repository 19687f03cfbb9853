"""The output of one function attempt: a spool file, as a process has one.

One format on disk means one way to ship. The file comes to be with the first byte, so
the many functions that print nothing cost nothing. Lines are written as they end, the
rest when the stream is flushed or the attempt ends; a function may print from any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from jobs_grpc.runtime.clock import Clock
from jobs_grpc.worker.keeper.spool import (
    SpoolWriter,
    Stream,
)

# An endless line is cut here: nothing of it would be seen for ever otherwise.
LINE_BYTES: Final = 8 * 1024
# Well below what a frame may hold.
_FRAME_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputHome:
    """What all function attempts of a worker share for their output."""

    # Each attempt has a directory in here, named for its fence.
    directory: Path
    clock: Clock
    # Called with the fence when a spool has grown, from any thread.
    on_growth: Callable[[int], None]

    def spool(self, fence: int) -> Path:
        """Return where the output of an attempt is."""
        return self.directory / str(fence) / "spool"


class FunctionOutput:
    """Where the output of one attempt goes. Methods may be called from any thread."""

    __slots__ = ("_fence", "_home", "_is_closed", "_limit", "_lock", "_rest", "_writer")

    def __init__(self, home: OutputHome, fence: int, limit: int) -> None:
        self._home = home
        self._fence = fence
        self._limit = limit
        self._lock = Lock()
        self._rest: dict[Stream, bytes] | None = None
        self._writer: SpoolWriter | None = None
        self._is_closed = False

    @property
    def size(self) -> int:
        """Bytes written, all streams together."""
        return self._writer.size if self._writer is not None else 0

    @property
    def dropped(self) -> int:
        """Bytes beyond the limit."""
        return self._writer.dropped if self._writer is not None else 0

    def write(self, stream: Stream, data: bytes) -> None:
        """Take output; whole lines reach the file now. After the end it is ignored."""
        with self._lock:
            if self._rest is None:
                self._rest = {}
            data = self._rest.pop(stream, b"") + data
            cut = len(data) if len(data) > LINE_BYTES else data.rfind(b"\n") + 1
            if cut < len(data):
                self._rest[stream] = data[cut:]
            self._put(stream, data[:cut])

    def flush(self, stream: Stream) -> None:
        """Bring what is left of a line to the file."""
        with self._lock:
            if self._rest:
                self._put(stream, self._rest.pop(stream, b""))

    def close(self) -> None:
        """Bring everything to the file; later output is ignored."""
        with self._lock:
            if self._rest:
                for stream, rest in self._rest.items():
                    self._put(stream, rest)
                self._rest.clear()
            self._is_closed = True
            if self._writer is not None:
                self._writer.finish(self._home.clock.now())

    def _put(self, stream: Stream, data: bytes) -> None:
        if not data or self._is_closed:
            return
        home = self._home
        if self._writer is None:
            home.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._writer = SpoolWriter(home.directory / str(self._fence), self._limit)
        now = home.clock.now()
        view = memoryview(data)
        for start in range(0, len(view), _FRAME_BYTES):
            self._writer.write(stream, view[start : start + _FRAME_BYTES], now)
        home.on_growth(self._fence)
