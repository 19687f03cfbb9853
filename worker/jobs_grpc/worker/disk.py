"""Whether the worker's disk has room for more work.

Output, exit records and results all go to one file system, that of the data directory.
Below a floor nothing new is taken: what runs has the room that is left for its output, and
its result has room that was set aside when it began. The leader hears of it with the next
heartbeat, which goes at once, and gives the work to others.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

log = logging.getLogger(__name__)

# Of a large disk no more than this is kept free unless a setting says so, of a small one
# no more than its twentieth part.
DEFAULT_FLOOR: Final = 1 << 30
_DEFAULT_SHARE: Final = 20
# Asking costs microseconds; a flood of output fills a gigabyte in a second.
LOOK_SECONDS: Final = 0.5
# Work is taken again when there is this much more than the floor, as a part of it.
_SLACK_SHARE: Final = 20


class Usage(Protocol):
    """What `shutil.disk_usage` returns."""

    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


class DiskGuard:
    """Looks at the disk, and says when work must not, or may again, be taken."""

    def __init__(
        self,
        directory: Path,
        floor_bytes: int | None,
        on_change: Callable[[str], None],
        *,
        usage: Callable[[Path], Usage] = shutil.disk_usage,
    ) -> None:
        """`on_change` gets the reason to take no work, or nothing; no floor: the default."""
        self._directory = directory
        self._floor = floor_bytes
        self._on_change = on_change
        self._usage = usage
        self._is_short = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.run_once()
            await asyncio.sleep(LOOK_SECONDS)

    def run_once(self) -> None:
        """Look once."""
        try:
            usage = self._usage(self._directory)
        except OSError as error:
            self._tell(f"its disk cannot be looked at: {error.strerror}")
            return
        floor = self._floor
        if floor is None:
            floor = min(DEFAULT_FLOOR, usage.total // _DEFAULT_SHARE)
        wanted = floor + (floor // _SLACK_SHARE if self._is_short else 0)
        if usage.free >= wanted:
            self._tell("")
        elif not self._is_short:
            self._tell(
                f"its disk has {_mebibytes(usage.free)} free, and is to keep"
                f" {_mebibytes(floor)}"
            )

    def _tell(self, reason: str) -> None:
        if self._is_short == bool(reason):
            return
        self._is_short = bool(reason)
        if reason:
            log.warning("no work is taken: %s (%s)", reason, self._directory)
        else:
            log.info("work is taken again: %s has room", self._directory)
        self._on_change(reason)


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
