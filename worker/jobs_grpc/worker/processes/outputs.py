"""The directories that jobs know as JOBS_OUTPUT_DIR: private, empty, used again.

Almost every job leaves its directory empty. Making and removing one for each attempt
costs 300 microseconds of system time on a disk that is busy with fsyncs, half of what a
quick command costs this process; looking whether one is empty costs ten. So directories
are numbered, and an empty one goes to the next attempt. The journal notes which attempt
has which, because attempts outlive this process.
"""
# ruff: noqa: PTH102, PTH208
# Paths are strings in here: as objects they would cost more than the calls they are for.

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o700


class OutputDirectories:
    """The numbered directories under one directory. A number is never 0."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._last = 0
        self._free: list[int] = []

    def open(self, in_use: Collection[int]) -> None:
        """Take over what an earlier process left; those `in_use` belong to attempts."""
        os.makedirs(self._directory, PRIVATE, exist_ok=True)  # noqa: PTH103
        for name in os.listdir(self._directory):
            if not name.isdigit():
                continue
            number = int(name)
            self._last = max(self._last, number)
            if number not in in_use and not self.give_back(number):
                self.remove(number)

    def path(self, number: int) -> str:
        """Return the path of a directory."""
        return f"{self._directory}/{number}"

    def take(self) -> int:
        """Return the number of an empty directory that nobody else has."""
        if self._free:
            return self._free.pop()
        self._last += 1
        os.mkdir(self.path(self._last), PRIVATE)
        return self._last

    def give_back(self, number: int) -> bool:
        """Let another attempt have it; False when it is not as it was, see `remove`."""
        path = self.path(number)
        try:
            mode = os.lstat(path).st_mode
            is_clean = mode == stat.S_IFDIR | PRIVATE and not os.listdir(path)
        except OSError:
            return False
        if is_clean:
            self._free.append(number)
        return is_clean

    def remove(self, number: int) -> None:
        """Remove a directory with what is in it; it may take a while. Any thread."""
        shutil.rmtree(self.path(number), ignore_errors=True)
