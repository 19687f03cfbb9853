"""The worker: runs jobs on a host, and Python functions in the user's own program.

A program with functions needs no more than this::

    from jobs_grpc.worker import Context, Worker, function

    @function
    def resize(ctx: Context, key: str) -> dict[str, int]:
        ctx.progress(0.5, message=key)
        return {"width": 640}

    if __name__ == "__main__":
        Worker(functions=[resize]).run()

Without a program of its own, `jobs-grpc worker --functions MODULE` serves the functions
of a module beside commands and scripts.

How the worker is made is told in `daemon`, `session`, `shipping` and `keeper`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jobs_grpc.worker.config import SettingsError, WorkerSettings
    from jobs_grpc.worker.functions.catalogue import CatalogueError
    from jobs_grpc.worker.functions.context import Context, FunctionCancelledError
    from jobs_grpc.worker.functions.decorator import function
    from jobs_grpc.worker.worker import Worker

__all__ = [
    "CatalogueError",
    "Context",
    "FunctionCancelledError",
    "SettingsError",
    "Worker",
    "WorkerSettings",
    "function",
]

# Loaded when asked for. The keeper is a package in here and imports this module first:
# it has to be small and to start fast, and needs none of these.
_HOMES: Final = {
    "CatalogueError": "jobs_grpc.worker.functions.catalogue",
    "Context": "jobs_grpc.worker.functions.context",
    "FunctionCancelledError": "jobs_grpc.worker.functions.context",
    "SettingsError": "jobs_grpc.worker.config",
    "Worker": "jobs_grpc.worker.worker",
    "WorkerSettings": "jobs_grpc.worker.config",
    "function": "jobs_grpc.worker.functions.decorator",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
