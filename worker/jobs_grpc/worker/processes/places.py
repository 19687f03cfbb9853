"""Where a process attempt works and what is its own.

::

    <data>/deployments/<namespace>/<workspace>/     where jobs of a workspace run
    <data>/outputs/<number>/                        0700, see `outputs.py`
    <data>/keeper/attempts/<fence>/                 0700
        script        the script of the attempt, if it has one
        spool         its output, written by the keeper

Paths are strings in here: as objects they would cost more than the calls they are for.
"""
# ruff: noqa: PTH102, PTH103, PTH112, PTH118

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from jobs_grpc.worker.processes.command import UnfitWorkError
from jobs_grpc.worker.processes.outputs import OutputDirectories
from jobs_grpc.worker.work import Lease


class Places:
    """The directories of one worker."""

    def __init__(self, data: Path) -> None:
        self.keeper = data / "keeper"
        self.attempts = self.keeper / "attempts"
        self.outputs = OutputDirectories(data / "outputs")
        self._deployments = str(data / "deployments")
        self._attempts = str(self.attempts)

    def spool(self, fence: int) -> Path:
        """Return where the keeper writes the output of an attempt."""
        return Path(f"{self._attempts}/{fence}/spool")

    def make_private(self, fence: int) -> str:
        """Make the private directory of an attempt, for what is its own."""
        directory = f"{self._attempts}/{fence}"
        os.makedirs(self._attempts, 0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # an earlier try came so far
            os.mkdir(directory, 0o700)
        return directory

    def remove_private(self, fence: int) -> None:
        """Remove the private directory with what is in it; it may take a while."""
        shutil.rmtree(f"{self._attempts}/{fence}", ignore_errors=True)

    def working_directory(self, lease: Lease) -> str:
        """Return where the job runs; only the workspace's own directory is made."""
        for name in (lease.namespace, lease.workspace):
            if name in {"", ".", ".."} or "/" in name or "\0" in name:
                raise UnfitWorkError(f"{name!r} cannot be the name of a directory")
        home = f"{self._deployments}/{lease.namespace}/{lease.workspace}"
        if not os.path.isdir(home):
            os.makedirs(home, exist_ok=True)
        if not lease.working_dir:
            return home
        wanted = os.path.normpath(os.path.join(home, lease.working_dir))
        if not os.path.isdir(wanted):
            raise UnfitWorkError(
                f"the working directory {wanted} does not exist on this worker"
            )
        return wanted
