"""What the benchmark's worker offers."""

from __future__ import annotations

import os
import time

from jobs_grpc.worker import function


@function
async def noop() -> None:
    """Do nothing."""


@function
async def stamp() -> int:
    """Return when it was entered: nanoseconds of the wall clock."""
    return time.time_ns()


@function
def process_id() -> int:
    """Return which process runs it."""
    return os.getpid()
