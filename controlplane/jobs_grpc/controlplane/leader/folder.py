"""A folder of job files as the source of jobs, watched.

Each pass looks at names, sizes and times, reads what changed, and hands the difference to
the core. A broken file is reported by name; the jobs it defined before stay as they were,
and every other file still counts. A job whose file is gone, or whose file no longer
defines it, is removed, unless somebody else has taken it over since.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from jobs_grpc.controlplane.core.state.errors import JobNotFoundError, RefusedError
from jobs_grpc.controlplane.core.state.inputs import ApplyJobs, DeleteJob
from jobs_grpc.controlplane.core.state.job import JobKey, JobSpec
from jobs_grpc.jobfile import Defaults, ProblemsError, load_path
from jobs_grpc.wire.channel import MAX_DOCUMENTS

from .journal import NotLeadingError, OverloadedError
from .leader import Leader
from .specs import spec_of

log = logging.getLogger(__name__)

EVERY: Final = 1.0
SUFFIXES: Final = frozenset({".json", ".yaml", ".yml", ".toml"})
_SOURCE: Final = "folder:"

# What the files define, and which file each job comes from.
_Wanted = dict[JobKey, tuple[JobSpec, str]]


@dataclass(frozen=True, slots=True)
class _Stamp:
    modified: int
    size: int


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was last read. `specs` is None while it is broken."""

    stamp: _Stamp
    specs: tuple[JobSpec, ...] | None


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    applied: int = 0
    removed: int = 0
    broken: int = 0


class JobsFolder:
    """Keeps the jobs of a term equal to the files of a folder."""

    def __init__(self, leader: Leader, folder: Path) -> None:
        self._leader = leader
        self._folder = folder
        self._files: dict[Path, _File] = {}
        # The term whose jobs were brought in line; 0 for none.
        self._term = 0
        self._trouble = ""

    async def run(self) -> None:
        """Pass after pass, for ever."""
        while True:
            trouble, self._trouble = self._trouble, ""
            try:
                done = await self.run_once()
            except (NotLeadingError, OverloadedError):
                self._term = 0
            except OSError as error:
                self._trouble = str(error)
                if self._trouble != trouble:
                    log.warning("the jobs folder %s: %s", self._folder, error)
            else:
                if done != Pass():
                    log.info(
                        "jobs folder: %d applied, %d removed, %d broken files",
                        done.applied,
                        done.removed,
                        done.broken,
                    )
            await asyncio.sleep(EVERY)

    async def run_once(self) -> Pass:
        """Look once, and bring the jobs in line; `broken` counts newly broken files.

        A folder that cannot be read is an `OSError`, and no reason to remove its jobs.
        """
        stamps = await asyncio.to_thread(_stamps, self._folder)
        is_new = self._term != self._leader.term
        if is_new:
            self._files.clear()
            self._term = self._leader.term
        elif {path: file.stamp for path, file in self._files.items()} == stamps:
            return Pass()
        changed = {
            path: stamp
            for path, stamp in stamps.items()
            if path not in self._files or self._files[path].stamp != stamp
        }
        read = await asyncio.to_thread(_read_all, changed)
        broken = sum(1 for file in read.values() if file.specs is None)
        for path in set(self._files) - set(stamps):
            del self._files[path]
        self._files.update(read)
        wanted = self._wanted()
        applied = await self._apply(wanted)
        removed = await self._remove(wanted)
        return Pass(applied, removed, broken)

    async def _apply(self, wanted: _Wanted) -> int:
        pairs = list(wanted.values())
        changed = 0
        for start in range(0, len(pairs), MAX_DOCUMENTS):
            batch = pairs[start : start + MAX_DOCUMENTS]
            changed += await self._apply_batch(batch)
        return changed

    async def _apply_batch(self, batch: list[tuple[JobSpec, str]]) -> int:
        with suppress(RefusedError):
            return await self._submit(batch)
        # One job that is refused must not keep the others out.
        changed = 0
        refused: dict[str, str] = {}
        while batch:
            left = []
            for one in batch:
                try:
                    changed += await self._submit([one])
                except RefusedError as error:
                    left.append(one)
                    refused[one[0].name] = error.message
            # What depends on a job that came after it may stand now.
            if len(left) == len(batch):
                break
            batch = left
        for spec, source in batch:
            log.warning("%s: %s", source.removeprefix(_SOURCE), refused[spec.name])
        return changed

    async def _submit(self, batch: list[tuple[JobSpec, str]]) -> int:
        answer = await self._leader.submit(
            ApplyJobs(
                specs=tuple(spec for spec, _ in batch),
                sources=tuple(source for _, source in batch),
            )
        )
        assert isinstance(answer, tuple)
        return sum(1 for applied in answer if applied.outcome != "unchanged")

    async def _remove(self, wanted: _Wanted) -> int:
        prefix = f"{_SOURCE}{self._folder}/"
        broken = {
            f"{_SOURCE}{path}"
            for path, file in self._files.items()
            if file.specs is None
        }
        gone = [
            job.spec.key
            for job in self._leader.core.live.jobs.values()
            if job.source.startswith(prefix)
            and job.source not in broken
            and job.spec.key not in wanted
        ]
        for key in gone:
            # Somebody else may have been faster.
            with suppress(JobNotFoundError):
                await self._leader.submit(DeleteJob(key))
        return len(gone)

    def _wanted(self) -> _Wanted:
        wanted: _Wanted = {}
        for path in sorted(self._files):
            for spec in self._files[path].specs or ():
                if spec.key in wanted:
                    log.warning(
                        '%s: job "%s" is already defined in %s; give one of them'
                        " another name",
                        path,
                        spec.name,
                        wanted[spec.key][1].removeprefix(_SOURCE),
                    )
                else:
                    wanted[spec.key] = (spec, f"{_SOURCE}{path}")
        return wanted


def _stamps(folder: Path) -> dict[Path, _Stamp]:
    found: dict[Path, _Stamp] = {}
    # A folder that is away for a moment must not look like an empty one.
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            with suppress(FileNotFoundError):
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    found[path] = _Stamp(status.st_mtime_ns, status.st_size)
    return found


def _raise(error: OSError) -> NoReturn:
    raise error


def _read_all(changed: dict[Path, _Stamp]) -> dict[Path, _File]:
    return {path: _File(stamp, _read(path)) for path, stamp in changed.items()}


def _read(path: Path) -> tuple[JobSpec, ...] | None:
    try:
        loaded = load_path(path, defaults=Defaults())
        return tuple(spec_of(one.document) for one in loaded)
    except ProblemsError as error:
        for problem in error.problems:
            log.warning("%s", problem)
    except OSError as error:
        log.warning("%s: %s", path, error.strerror)
    return None
