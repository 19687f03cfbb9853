"""`print` inside a function lands in the output of its attempt.

Many functions run at once in one process, so `sys.stdout` is a stand-in that asks a
context variable whose output this is. Coroutines and threads of an attempt carry the
variable with them (`asyncio.to_thread` and task creation copy it); outside of any
attempt the real stream is written.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from jobs_grpc.worker.functions.output import FunctionOutput
from jobs_grpc.worker.keeper.spool import (
    Stream,
)

CURRENT: ContextVar[FunctionOutput | None] = ContextVar("attempt_output", default=None)


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`, for programs that print bytes."""

    def __init__(self, stream: Stream, real: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._real = real

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        taken = bytes(memoryview(data))  # type: ignore[arg-type]
        output = CURRENT.get()
        if output is not None:
            output.write(self._stream, taken)
            return len(taken)
        self._real.write(taken.decode(errors="replace"))
        return len(taken)

    def flush(self) -> None:
        output = CURRENT.get()
        if output is not None:
            output.flush(self._stream)
        elif not self._real.closed:
            self._real.flush()


class _Text(io.TextIOBase):
    """`sys.stdout` and `sys.stderr` while functions run."""

    def __init__(self, stream: Stream, real: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._real = real
        self.buffer = _Bytes(stream, real)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return CURRENT.get() is None and self._real.isatty()

    def fileno(self) -> int:
        return self._real.fileno()

    def write(self, text: str) -> int:
        output = CURRENT.get()
        if output is None:
            return self._real.write(text)
        output.write(self._stream, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        self.buffer.flush()


@contextmanager
def captured_prints() -> Iterator[None]:
    """Stand in for `sys.stdout` and `sys.stderr`."""
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = _Text(Stream.STDOUT, stdout)
    sys.stderr = _Text(Stream.STDERR, stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr
