"""The functions that this worker knows, and where they come from."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from jobs_grpc.worker.functions.decorator import (
    Registration,
    register,
    registration_of,
)


class CatalogueError(Exception):
    """Functions cannot be loaded; the text says which and why."""


class Catalogue:
    """Registered functions by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Registration] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names that jobs may call, sorted."""
        return tuple(sorted(self._by_name))

    def get(self, name: str) -> Registration | None:
        """Return the function of this name."""
        return self._by_name.get(name)

    def add(self, target: Callable[..., Any]) -> None:
        """Add a function, decorated or not."""
        found = registration_of(target) or register(target)
        known = self._by_name.get(found.name)
        if known is not None and known.call is not found.call:
            raise CatalogueError(
                f"two functions are named {found.name!r}: {_place(known)} and "
                f"{_place(found)}; rename one with @function(name=...)"
            )
        self._by_name[found.name] = found

    def add_module(self, name: str) -> None:
        """Import a module (`shop.jobs`) or a file (`jobs/shop.py`), add its functions."""
        module = _load(name)
        found = [one for one in vars(module).values() if registration_of(one)]
        if not found:
            raise CatalogueError(
                f"{name} has no functions; mark them with @function from "
                "jobs_grpc.worker"
            )
        for one in found:
            self.add(one)

    def unknown(self, name: str) -> str:
        """Return the sentence for a call of a function that is not here."""
        known = ", ".join(self.names) or "no function at all"
        return f"unknown function {name!r}; this worker knows {known}"


def load(
    modules: Iterable[str], functions: Iterable[Callable[..., Any]] = ()
) -> Catalogue:
    """Return the catalogue of everything a worker was given.

    Raises:
        CatalogueError: with all that is wrong, one problem a line.
    """
    catalogue = Catalogue()
    problems: list[str] = []
    for one in functions:
        try:
            catalogue.add(one)
        except (CatalogueError, TypeError) as error:
            problems.append(str(error))
    for name in modules:
        try:
            catalogue.add_module(name)
        except CatalogueError as error:
            problems.append(str(error))
    if problems:
        raise CatalogueError("\n".join(problems))
    return catalogue


def _load(name: str) -> ModuleType:
    try:
        return _load_file(Path(name)) if name.endswith(".py") else _load_module(name)
    except CatalogueError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise CatalogueError(
            f"cannot load {name}: {type(error).__name__}: {error}"
        ) from error


def _load_module(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise CatalogueError(f"cannot load {path}: there is no such file")
    # Its neighbors are importable, as they are for `python file.py`.
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _place(found: Registration) -> str:
    return f"{found.call.__module__}.{getattr(found.call, '__qualname__', found.name)}"
