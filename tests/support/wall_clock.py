"""A wall clock for a server alone, set by libfaketime."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

LIBRARIES = [
    Path(folder, "faketime", "libfaketime.so.1")
    for folder in (
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    )
]


class WallClock:
    """The wall clock of the server, which other clocks of this machine know nothing of."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"

    def set(self, instant: datetime) -> None:
        offset = instant.timestamp() - time.time()
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset:+.3f}\n")
        fresh.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a process that lives by this clock.

        Skips the test where libfaketime is missing.
        """
        library = next((one for one in LIBRARIES if one.exists()), None)
        if library is None:
            pytest.skip("libfaketime is not installed: apt-get install libfaketime")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            # Only the wall clock jumps, as it does when people set it.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
