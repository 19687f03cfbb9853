"""Where a process attempt works and what is its own.

::

    <data>/deployments/<namespace>/<workspace>/     where jobs of a workspace run
    <data>/keeper/attempts/<fence>/                 0700, removed with the attempt
        script        its script
        output/       JOBS_OUTPUT_DIR
        spool         written by the keeper
"""

from __future__ import annotations

import os
from pathlib import Path

from jobs_grpc.worker.processes.command import UnfitWorkError
from jobs_grpc.worker.work import Lease


class Places:
    """The directories of one worker."""

    def __init__(self, data: Path) -> None:
        self.keeper = data / "keeper"
        self._attempts = self.keeper / "attempts"
        self._deployments = data / "deployments"

    def attempt(self, fence: int) -> Path:
        """Return the private directory of an attempt."""
        return self._attempts / str(fence)

    def spool(self, fence: int) -> Path:
        """Return where the keeper writes the output of an attempt."""
        return self.attempt(fence) / "spool"

    def make_attempt(self, fence: int) -> tuple[Path, Path]:
        """Make the private directory and the output directory in it; return both."""
        directory = self.attempt(fence)
        output = directory / "output"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        output.mkdir(mode=0o700, exist_ok=True)
        return directory, output

    def working_directory(self, lease: Lease) -> str:
        """Return where the job runs; only the workspace's own directory is made."""
        for name in (lease.namespace, lease.workspace):
            if name in {"", ".", ".."} or "/" in name or "\0" in name:
                raise UnfitWorkError(f"{name!r} cannot be the name of a directory")
        home = self._deployments / lease.namespace / lease.workspace
        home.mkdir(parents=True, exist_ok=True)
        if not lease.working_dir:
            return str(home)
        wanted = os.path.normpath(home / lease.working_dir)
        if not os.path.isdir(wanted):  # noqa: PTH112 - it is a string by now
            raise UnfitWorkError(
                f"the working directory {wanted} does not exist on this worker"
            )
        return wanted
