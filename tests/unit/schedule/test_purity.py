"""The package computes and does nothing else: the simulator and the CLI rely on it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import jobs_grpc.schedule as package

ALLOWED = sys.stdlib_module_names - {"asyncio", "time", "random", "threading", "os"}


def test_it_imports_only_what_is_pure() -> None:
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                own = name.startswith("jobs_grpc.schedule.")
                top = name.partition(".")[0]
                assert own or top in ALLOWED | {"croniter", "cronsim"}, (path, name)


def test_its_names_are_all_there() -> None:
    assert sorted(package.__all__) == package.__all__
    assert all(hasattr(package, name) for name in package.__all__)
