"""Fail points, put into the programs from outside: Python runs this file first.

A point is armed by creating `$CHAOS_POINTS/<name>`. The first process that comes by takes
the file away and dies on the spot, as by a power cut.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Places = list[tuple[str, str, str, str]]

POINTS = os.environ.get("CHAOS_POINTS", "")

# module: (owner, method, point before it, point after it)
PLACES: dict[str, Places] = {
    "jobs_grpc.controlplane.storage.sqlite.writer": [
        ("Writer", "_write", "before-commit", "in-commit"),
        ("Writer", "_transact", "", "after-commit"),
    ],
    "jobs_grpc.controlplane.leader.leader": [
        ("Leader", "_release", "before-release", "after-release"),
    ],
    "jobs_grpc.controlplane.rpc.worker_service": [
        ("WorkerService", "_messages", "before-send", ""),
    ],
    "jobs_grpc.worker.journal.journal": [
        ("Journal", "begin", "before-begin-note", "after-begin-note"),
        ("Journal", "_commit", "before-result-sync", "after-result-sync"),
    ],
    "jobs_grpc.worker.processes.runner": [
        ("ProcessRunner", "_ask", "before-start-request", "after-start-answer"),
    ],
    "jobs_grpc.worker.session": [
        ("Session", "durable", "before-result-told", ""),
        ("Session", "acknowledged", "before-ack-taken", "after-ack-taken"),
    ],
    "jobs_grpc.worker.keeper.keeper": [
        ("Keeper", "_note_starting", "", "before-exec"),
        ("Keeper", "_note_started", "after-exec", ""),
        ("Keeper", "attempt_ended", "before-exit-record", ""),
    ],
    "jobs_grpc.worker.keeper.memory.archive": [
        ("Archive", "_become_durable", "after-exit-record", ""),
    ],
}


def hit(name: str) -> None:
    if not name:
        return
    try:
        os.unlink(os.path.join(POINTS, name))
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def wrapped(
    function: Callable[..., Any], before: str, after: str
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_soon(*args: Any, **kwargs: Any) -> Any:
            hit(before)
            result = await function(*args, **kwargs)
            hit(after)
            return result

        return call_soon

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        hit(before)
        result = function(*args, **kwargs)
        hit(after)
        return result

    return call


class Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, places: Places) -> None:
        self._loader, self._places = loader, places

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for owner, method, before, after in self._places:
            kind = getattr(module, owner)
            setattr(kind, method, wrapped(getattr(kind, method), before, after))


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        places = PLACES.get(name)
        if places is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader, places)
        return spec


if POINTS:
    sys.meta_path.insert(0, Finder())
