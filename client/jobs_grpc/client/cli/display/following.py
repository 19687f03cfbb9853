"""The output of a run on the terminal, byte for byte.

What the job wrote to its standard output goes to ours, what it wrote to standard error to
ours, and notes about the run itself to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from jobs_grpc.client.cli.display.moments import duration_text
from jobs_grpc.client.cli.display.printing import note
from jobs_grpc.client.records.output import (
    Gap,
    Lagged,
    OutputEnd,
    OutputPiece,
    OutputStream,
)

if TYPE_CHECKING:
    from jobs_grpc.client._follow import OutputEvent
    from jobs_grpc.client.records.execution import Execution


class OutputPrinter:
    """Prints events; knows the offset at which another reader would go on."""

    def __init__(
        self, *, only: OutputStream | None = None, timestamps: bool = False
    ) -> None:
        self.next_offset = 0
        self._only = only
        self._timestamps = timestamps
        self._has_lagged = False
        self._line_is_open: dict[OutputStream, bool] = {}

    async def print(self, events: AsyncIterator[OutputEvent]) -> OutputEnd | None:
        """Print until the end, and return it."""
        async for event in events:
            match event:
                case OutputPiece():
                    self._print_piece(event)
                case Gap():
                    sys.stdout.flush()
                    note(f"... {size_text(event.length)} missing ({event.reason}) ...")
                    self.next_offset = event.offset + event.length
                case Lagged():
                    self._say_that_it_lagged(event)
                case OutputEnd():
                    return event
        return None

    def _say_that_it_lagged(self, lagged: Lagged) -> None:
        """Say it the first time only: a flood would have it say nothing else."""
        if not self._has_lagged:
            self._has_lagged = True
            sys.stdout.flush()
            note(
                "following lagged behind; reading on from the log at byte"
                f" {lagged.offset}, nothing is missing"
            )

    def _print_piece(self, piece: OutputPiece) -> None:
        self.next_offset = piece.offset + len(piece.data)
        target = self._target(piece.stream)
        data = piece.data
        if self._timestamps:
            data = self._stamped(piece)
        target.write(data)
        target.flush()

    def _target(self, stream: OutputStream) -> BinaryIO:
        if self._only is not None or stream is OutputStream.STDOUT:
            return sys.stdout.buffer
        return sys.stderr.buffer

    def _stamped(self, piece: OutputPiece) -> bytes:
        """Return the piece with its time before each line that begins in it."""
        time = piece.time or datetime.now(UTC)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.").encode()
        stamp += b"%03dZ " % (time.microsecond // 1000)
        lines = piece.data.splitlines(keepends=True)
        marked = [stamp + line for line in lines]
        if marked and self._line_is_open.get(piece.stream):
            marked[0] = lines[0]
        self._line_is_open[piece.stream] = not piece.data.endswith(b"\n")
        return b"".join(marked)


def size_text(size: int) -> str:
    """Return a number of bytes as `1.2 MB`."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.1f} {unit}" if unit != "bytes" else f"{size} bytes"
        amount /= 1000
    return f"{amount:.1f} GB"


def ending_text(execution: Execution) -> str:
    """Return how an execution ended, in a line."""
    words = [execution.state.value]
    if execution.duration is not None:
        words.append(f"after {duration_text(execution.duration)}")
    text = " ".join(words)
    return f"{text}: {execution.error}" if execution.error else text


def say_how_to_resume(execution_id: str, command: str) -> None:
    """Say after Ctrl-C that the run goes on, and how to come back."""
    note(f"\ninterrupted; execution {execution_id[:8]} goes on. Resume with:")
    note(f"  jobs-grpc {command}")
